"""REST for a restaurant's figures."""

from __future__ import annotations

from typing import Final

from django.http import HttpResponse
from pydantic import Field
from rest_framework.request import Request

from bookings.selectors.analytics import GroupBy, analytics
from wokibrain.core.errors import Code
from wokibrain.rest.fields import ApiModel, ServiceDate, example
from wokibrain.rest.openapi import operation
from wokibrain.rest.views import ApiView, caller_of, parse_query, reply


class AnalyticsQuery(ApiModel):
    start_date: ServiceDate = Field(examples=["2025-10-01"])
    end_date: ServiceDate = Field(examples=["2025-10-31"], description="Included.")
    group_by: GroupBy = Field(GroupBy.DAY, examples=["day"])


class PeriodOut(ApiModel):
    start_date: str
    end_date: str
    group_by: GroupBy


class PeakOut(ApiModel):
    hour: int = Field(ge=0, le=23)
    bookings: int


class MetricsOut(ApiModel):
    """Rates are shares from 0 to 1."""

    total_bookings: int
    covers: int
    occupancy_rate: float
    average_party_size: float
    no_show_rate: float
    cancellation_rate: float
    peak_hours: list[PeakOut]


class TrendOut(ApiModel):
    date: str = Field(description="The group's first day; with its hour where grouped by hours.")
    bookings: int
    covers: int
    cancelled: int


class UtilizationOut(ApiModel):
    table_id: str
    utilization: float


SHOWN: Final = {
    "period": {"startDate": "2025-10-01", "endDate": "2025-10-31", "groupBy": "day"},
    "metrics": {
        "totalBookings": 1,
        "covers": 3,
        "occupancyRate": 0.0006,
        "averagePartySize": 3.0,
        "noShowRate": 0.0,
        "cancellationRate": 0.0,
        "peakHours": [{"hour": 20, "bookings": 1}],
    },
    "trends": [{"date": "2025-10-22", "bookings": 1, "covers": 3, "cancelled": 0}],
    "tables": [{"tableId": "T2", "utilization": 0.0031}],
}


class AnalyticsOut(ApiModel):
    model_config = example(SHOWN)

    period: PeriodOut
    metrics: MetricsOut
    trends: list[TrendOut]
    tables: list[UtilizationOut]


class AnalyticsView(ApiView):
    @operation(
        "analytics",
        "A restaurant's figures",
        """Over service dates, at most a year. They follow a change within moments. Occupancy and utilization
        compare what was taken with the tables and hours of today.""",
        query=AnalyticsQuery,
        out=AnalyticsOut,
        errors=(Code.NOT_FOUND,),
        tag="management",
    )
    def get(self, request: Request, restaurant: str) -> HttpResponse:
        query = parse_query(AnalyticsQuery, request)
        found = analytics(
            caller=caller_of(request),
            restaurant_id=restaurant,
            start=query.start_date,
            end=query.end_date,
            group_by=query.group_by,
        )
        return reply(
            AnalyticsOut(
                period=PeriodOut(
                    start_date=query.start_date.isoformat(),
                    end_date=query.end_date.isoformat(),
                    group_by=query.group_by,
                ),
                metrics=MetricsOut(
                    total_bookings=found.total_bookings,
                    covers=found.covers,
                    occupancy_rate=found.occupancy_rate,
                    average_party_size=found.average_party_size,
                    no_show_rate=found.no_show_rate,
                    cancellation_rate=found.cancellation_rate,
                    peak_hours=[PeakOut(hour=hour, bookings=count) for hour, count in found.peak_hours],
                ),
                trends=[
                    TrendOut(
                        date=each.date, bookings=each.bookings, covers=each.covers, cancelled=each.cancelled
                    )
                    for each in found.trends
                ],
                tables=[UtilizationOut(table_id=name, utilization=share) for name, share in found.tables],
            )
        )
