"""REST for a restaurant's figures."""

from __future__ import annotations

from typing import Final

from django.http import HttpResponse
from pydantic import Field
from rest_framework.request import Request

from bookings.selectors.analytics import GroupBy, analytics
from wokibrain.core.errors import Code
from wokibrain.rest.fields import ApiModel, QueryModel, ServiceDate, example
from wokibrain.rest.openapi import operation
from wokibrain.rest.views import ApiView, caller_of, parse_query, reply


class AnalyticsQuery(QueryModel):
    start_date: ServiceDate = Field(examples=["2025-10-01"])
    end_date: ServiceDate = Field(examples=["2025-10-31"], description="Included in the period.")
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
    date: str = Field(description="The group's first day, followed by the hour if grouped by hour.")
    bookings: int
    covers: int
    cancelled: int


class UtilizationOut(ApiModel):
    table_id: str
    utilization: float


ANALYTICS: Final = {
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
    model_config = example(ANALYTICS)

    period: PeriodOut
    metrics: MetricsOut
    trends: list[TrendOut]
    tables: list[UtilizationOut]


class AnalyticsView(ApiView):
    @operation(
        "analytics",
        "Get a restaurant's figures",
        """The period is at most a year of service dates. Figures reflect a change within moments. Occupancy and
        utilization compare the time that tables were taken with the restaurant's present tables and hours.""",
        query=AnalyticsQuery,
        out=AnalyticsOut,
        errors=(Code.NOT_FOUND,),
        tag="management",
    )
    def get(self, request: Request, restaurant: str) -> HttpResponse:
        query = parse_query(AnalyticsQuery, request)
        figures = analytics(
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
                    total_bookings=figures.total_bookings,
                    covers=figures.covers,
                    occupancy_rate=figures.occupancy_rate,
                    average_party_size=figures.average_party_size,
                    no_show_rate=figures.no_show_rate,
                    cancellation_rate=figures.cancellation_rate,
                    peak_hours=[PeakOut(hour=hour, bookings=count) for hour, count in figures.peak_hours],
                ),
                trends=[
                    TrendOut(
                        date=trend.date,
                        bookings=trend.bookings,
                        covers=trend.covers,
                        cancelled=trend.cancelled,
                    )
                    for trend in figures.trends
                ],
                tables=[UtilizationOut(table_id=name, utilization=share) for name, share in figures.tables],
            )
        )
