"""What the endpoints of restaurants, sectors and tables take and give."""

from __future__ import annotations

from typing import Annotated, Literal

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from pydantic import Field

from restaurants.models import Restaurant, Sector, Table
from restaurants.services import Hours
from wokibrain.errors import ValidationFailed
from wokibrain.fields import ApiModel, BodyModel, Identifier, Line, WallTime, example

Name = Annotated[Line, Field(min_length=1, max_length=100, examples=["Bistro Central"])]
Seats = Annotated[int, Field(ge=1, le=50)]


class WindowBody(BodyModel):
    """A service window; without `weekday` (0 = Monday) it is held every day."""

    start: WallTime = Field(examples=["20:00"])
    end: WallTime = Field(examples=["23:45"], description="At or before `start`: the next day.")
    last_seating: WallTime | None = None
    weekday: Annotated[int, Field(ge=0, le=6)] | None = None

    def hours(self) -> Hours:
        return Hours(self.start, self.end, self.last_seating, self.weekday)


class RestaurantBody(BodyModel):
    model_config = example(
        {
            "id": "R2",
            "name": "Bistro Norte",
            "timezone": "Europe/Madrid",
            "windows": [{"start": "20:00", "end": "23:45"}],
        }
    )

    id: Identifier | None = Field(None, examples=["R2"])
    name: Name
    timezone: Annotated[Line, Field(max_length=64, examples=["America/Argentina/Buenos_Aires"])]
    windows: Annotated[list[WindowBody], Field(max_length=70)] | None = None


class SectorBody(BodyModel):
    model_config = example({"id": "S2", "restaurantId": "R2", "name": "Terrace"})

    id: Identifier | None = Field(None, examples=["S2"])
    restaurant_id: Identifier = Field(examples=["R1"])
    name: Name


class TableBody(BodyModel):
    """Capacity in either spelling: `capacityMin`/`capacityMax` or `minSize`/`maxSize`."""

    model_config = example({"id": "T6", "sectorId": "S2", "capacityMin": 2, "capacityMax": 4})

    id: Identifier | None = Field(None, examples=["T6"])
    sector_id: Identifier = Field(examples=["S1"])
    name: Annotated[Line, Field(max_length=100)] | None = None
    capacity_min: Seats | None = Field(None, examples=[2])
    capacity_max: Seats | None = Field(None, examples=[4])
    min_size: Seats | None = None
    max_size: Seats | None = None

    def capacity(self) -> tuple[int, int]:
        """Seats at least and at most. Raises ValidationFailed where one is missing, or they contradict."""
        least = _either("capacityMin", self.capacity_min, "minSize", self.min_size)
        most = _either("capacityMax", self.capacity_max, "maxSize", self.max_size)
        if most < least:
            spelled = "maxSize" if self.capacity_max is None else "capacityMax"
            raise ValidationFailed.at(spelled, _("A table seats at most no fewer than at least."))
        return least, most


def _either(name: str, value: int | None, other_name: str, other: int | None) -> int:
    if value is not None and other is not None and value != other:
        raise ValidationFailed.at(other_name, format_lazy(_("This differs from {field}."), field=name))
    chosen = value if value is not None else other
    if chosen is None:
        raise ValidationFailed.at(name, _("This field is required."))
    return chosen


class WindowOut(ApiModel):
    weekday: int
    start: str
    end: str
    last_seating: str | None


class RestaurantOut(ApiModel):
    model_config = example(
        {
            "id": "R2",
            "name": "Bistro Norte",
            "timezone": "Europe/Madrid",
            "windows": [{"weekday": 0, "start": "20:00", "end": "23:45", "lastSeating": None}],
        }
    )

    id: str
    name: str
    timezone: str
    windows: list[WindowOut]


class SectorOut(ApiModel):
    model_config = example({"id": "S2", "restaurantId": "R2", "name": "Terrace"})

    id: str
    restaurant_id: str
    name: str


class CapacityOut(ApiModel):
    min: int
    max: int


class TableOut(ApiModel):
    model_config = example(
        {
            "id": "T6",
            "sectorId": "S2",
            "name": "T6",
            "capacityMin": 2,
            "capacityMax": 4,
            "minSize": 2,
            "maxSize": 4,
            "capacity": {"min": 2, "max": 4},
            "active": True,
            "combinable": True,
        }
    )

    id: str
    sector_id: str
    name: str
    capacity_min: int
    capacity_max: int
    min_size: int
    max_size: int
    capacity: CapacityOut
    active: bool
    combinable: bool


def restaurant_out(restaurant: Restaurant) -> RestaurantOut:
    return RestaurantOut(
        id=restaurant.id,
        name=restaurant.name,
        timezone=restaurant.zone,
        windows=[
            WindowOut(
                weekday=each.weekday,
                start=f"{each.opens:%H:%M}",
                end=f"{each.closes:%H:%M}",
                last_seating=f"{each.last_seating:%H:%M}" if each.last_seating else None,
            )
            for each in restaurant.windows.all()
        ],
    )


def sector_out(sector: Sector) -> SectorOut:
    return SectorOut(id=sector.id, restaurant_id=sector.restaurant_id, name=sector.name)


def table_out(table: Table) -> TableOut:
    least, most = table.capacity_min, table.capacity_max
    return TableOut(
        id=table.id,
        sector_id=table.sector_id,
        name=str(table),
        capacity_min=least,
        capacity_max=most,
        min_size=least,
        max_size=most,
        capacity=CapacityOut(min=least, max=most),
        active=table.active,
        combinable=table.combinable,
    )


class SeededData(ApiModel):
    restaurant_id: Literal["R1"] = "R1"
    sector_id: Literal["S1"] = "S1"
    table_ids: list[str] = Field(examples=[["T1", "T2", "T3", "T4", "T5"]])
    booking_id: Literal["B1"] = "B1"


class SeededOut(ApiModel):
    model_config = example(
        {
            "message": "Seeded.",
            "data": {
                "restaurantId": "R1",
                "sectorId": "S1",
                "tableIds": ["T1", "T2", "T3", "T4", "T5"],
                "bookingId": "B1",
            },
        }
    )

    message: str
    data: SeededData


class InfoOut(ApiModel):
    model_config = example(
        {"name": "WokiBrain", "version": "1.0.0", "environment": "development", "docs": "/docs"}
    )

    name: str
    version: str
    environment: str
    docs: str
