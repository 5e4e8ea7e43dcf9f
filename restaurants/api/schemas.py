"""What the endpoints of restaurants, sectors and tables take and give."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any, Final, Literal

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from pydantic import AfterValidator, BaseModel, Field, field_validator

from restaurants.models import MAX_COMBO_TABLES, MAX_PARTY, Restaurant, Sector, Table
from restaurants.selectors import Page
from restaurants.services import Calendar, Hours, Joined, SpecialHours, Turn
from wokibrain import fields
from wokibrain.errors import ValidationFailed
from wokibrain.fields import ApiModel, BodyModel, Identifier, Line, QueryInt, ServiceDate, WallTime, example

Name = Annotated[Line, Field(min_length=1, max_length=100, examples=["Bistro Central"])]
OptionalName = Annotated[Line, Field(max_length=100)]
Zone = Annotated[Line, Field(min_length=1, max_length=64, examples=["America/Argentina/Buenos_Aires"])]
Seats = Annotated[int, Field(ge=1, le=MAX_PARTY)]
Minutes = Annotated[int, Field(ge=15, le=1440, multiple_of=15, description="Minutes, a multiple of 15.")]
Position = Annotated[int, Field(ge=0, le=32_767)]
Centimetres = Annotated[int, Field(ge=0, le=1_000_000)]
Size = Annotated[int, Field(ge=1, le=1_000_000)]


class PageQuery(ApiModel):
    page: Annotated[QueryInt, Field(ge=1, le=10_000)] = 1
    limit: Annotated[QueryInt, Field(ge=1, le=200)] = 50


class AcknowledgeQuery(ApiModel):
    acknowledge: Annotated[Line, Field(max_length=64)] | None = Field(
        None, description="The token of the list of bookings that would lose their place."
    )


class WindowBody(BodyModel):
    """A service window; without `weekday` (0 = Monday) it is held every day."""

    start: WallTime = Field(examples=["20:00"])
    end: WallTime = Field(examples=["23:45"], description="At or before `start`: the next day.")
    last_seating: WallTime | None = None
    weekday: Annotated[int, Field(ge=0, le=6)] | None = None

    def hours(self) -> Hours:
        return Hours(self.start, self.end, self.last_seating, self.weekday)


class SpecialWindowBody(BodyModel):
    start: WallTime = Field(examples=["12:00"])
    end: WallTime = Field(examples=["17:00"], description="At or before `start`: the next day.")
    last_seating: WallTime | None = None

    def hours(self) -> Hours:
        return Hours(self.start, self.end, self.last_seating)


class SpecialDayBody(BodyModel):
    """A date with its own windows in place of the week's; without any the restaurant is closed."""

    date: ServiceDate = Field(examples=["2026-12-25"])
    name: OptionalName = Field("", examples=["Christmas"])
    windows: Annotated[list[SpecialWindowBody], Field(max_length=10)] = Field([])

    def hours(self) -> SpecialHours:
        return SpecialHours(self.date, self.name, tuple(each.hours() for each in self.windows))


class TurnTimeBody(BodyModel):
    """How long a party of up to so many stays when the request does not say."""

    party_up_to: Seats = Field(examples=[4])
    minutes: Minutes = Field(examples=[90])


class _CalendarFields(ApiModel):
    """What a restaurant may be told on top of its name and zone; a list replaces the one there is."""

    windows: Annotated[list[WindowBody], Field(max_length=70)] | None = None
    special_days: Annotated[list[SpecialDayBody], Field(max_length=400)] | None = None
    turn_times: Annotated[list[TurnTimeBody], Field(max_length=50)] | None = None

    def calendar(self) -> Calendar:
        return Calendar(
            hours=None if self.windows is None else [each.hours() for each in self.windows],
            special=None if self.special_days is None else [each.hours() for each in self.special_days],
            turns=None
            if self.turn_times is None
            else [Turn(each.party_up_to, each.minutes) for each in self.turn_times],
        )


class _SettingsFields(ApiModel):
    min_party_size: Seats | None = None
    max_party_size: Seats | None = None
    min_duration_minutes: Minutes | None = None
    max_duration_minutes: Minutes | None = None
    refuse_past: bool | None = None
    lead_minutes: Annotated[int, Field(ge=0, le=525_600)] | None = Field(
        None, description="Book at least so many minutes ahead; null for no such rule."
    )
    horizon_days: Annotated[int, Field(ge=0, le=3650)] | None = Field(
        None, description="Book at most so many days ahead; null for no such rule."
    )

    def settings(self) -> dict[str, Any]:
        """The given ones as fields of the model; null counts only where it means something."""
        given = {field: getattr(self, field) for field in self.model_fields_set if field in MODEL_FIELDS}
        return {
            MODEL_FIELDS[field]: value
            for field, value in given.items()
            if value is not None or field in ("lead_minutes", "horizon_days")
        }


MODEL_FIELDS = {
    "name": "name",
    "timezone": "zone",
    "min_party_size": "min_party",
    "max_party_size": "max_party",
    "min_duration_minutes": "min_duration",
    "max_duration_minutes": "max_duration",
    "refuse_past": "refuse_past",
    "lead_minutes": "lead_minutes",
    "horizon_days": "horizon_days",
}
"""A field of the API -> the model's, of a restaurant."""


class RestaurantBody(BodyModel, _CalendarFields, _SettingsFields):
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
    timezone: Zone


class RestaurantPatch(BodyModel, _CalendarFields, _SettingsFields):
    """Any of these; what is left out stays. `leadMinutes` and `horizonDays` take null."""

    model_config = example({"name": "Bistro Norte", "leadMinutes": 60})

    name: Name | None = None
    timezone: Zone | None = None


class SectorBody(BodyModel):
    model_config = example({"id": "S2", "restaurantId": "R2", "name": "Terrace"})

    id: Identifier | None = Field(None, examples=["S2"])
    restaurant_id: Identifier = Field(examples=["R1"])
    name: Name


class NewSectorBody(BodyModel):
    model_config = example({"id": "S2", "name": "Terrace"})

    id: Identifier | None = Field(None, examples=["S2"])
    name: Name = Field(examples=["Terrace"])
    position: Position = 0


JoinPair = Annotated[list[Identifier], Field(min_length=2, max_length=2), AfterValidator(fields.once)]


class ComboBody(BodyModel):
    """What these tables seat together, in place of the sum of their capacities."""

    table_ids: Annotated[
        list[Identifier], Field(min_length=2, max_length=MAX_COMBO_TABLES), AfterValidator(fields.once)
    ] = Field(examples=[["T2", "T3"]])
    capacity_min: Seats = Field(examples=[5])
    capacity_max: Seats = Field(examples=[6])

    def joined(self) -> Joined:
        return Joined(frozenset(self.table_ids), self.capacity_min, self.capacity_max)


class SectorPatch(BodyModel):
    """Any of these; what is left out stays, and a list replaces the one there is."""

    model_config = example({"name": "Terrace", "joins": [["T2", "T3"]]})

    name: Name | None = None
    position: Position | None = None
    joins: Annotated[list[JoinPair], Field(max_length=1000)] | None = Field(
        None,
        description="Pairs of tables that can stand together. Once there is one, only connected sets combine.",
        examples=[[["T2", "T3"]]],
    )
    combos: Annotated[list[ComboBody], Field(max_length=1000)] | None = None

    def settings(self) -> dict[str, Any]:
        return _given(self, "name", "position")


def _given(body: BaseModel, *names: str) -> dict[str, Any]:
    """Those of the fields that were given and are not null."""
    return {name: getattr(body, name) for name in names if getattr(body, name) is not None}


class _PlanFields(ApiModel):
    name: OptionalName | None = None
    active: bool | None = None
    combinable: bool | None = None
    position: Position | None = None
    x: Centimetres | None = Field(None, description="Centimetres from the left.")
    y: Centimetres | None = Field(None, description="Centimetres from the top.")
    width: Size | None = None
    height: Size | None = None
    shape: Table.Shape | None = None
    capacity_min: Seats | None = Field(None, examples=[2])
    capacity_max: Seats | None = Field(None, examples=[4])
    min_size: Seats | None = None
    max_size: Seats | None = None

    @field_validator("shape", mode="before")
    @classmethod
    def _known_shape(cls, value: object) -> object:
        # Strict bodies take no text for an enum; here it is the only spelling there is.
        return Table.Shape(value) if value in Table.Shape.values else value

    def settings(self) -> dict[str, Any]:
        return _given(self, "name", "active", "combinable", "position", "x", "y", "width", "height", "shape")


class TableBody(BodyModel, _PlanFields):
    """Capacity in either spelling: `capacityMin`/`capacityMax` or `minSize`/`maxSize`."""

    model_config = example({"id": "T6", "sectorId": "S2", "capacityMin": 2, "capacityMax": 4})

    id: Identifier | None = Field(None, examples=["T6"])
    sector_id: Identifier = Field(examples=["S1"])

    def capacity(self) -> tuple[int, int]:
        """Seats at least and at most. Raises ValidationFailed where one is missing, or they contradict."""
        least = _needed("capacityMin", _either("capacityMin", self.capacity_min, "minSize", self.min_size))
        most = _needed("capacityMax", _either("capacityMax", self.capacity_max, "maxSize", self.max_size))
        if most < least:
            spelled = "maxSize" if self.capacity_max is None else "capacityMax"
            raise ValidationFailed.at(spelled, _("A table seats at most no fewer than at least."))
        return least, most


class TablePatch(BodyModel, _PlanFields):
    """Any of these; what is left out stays. A table keeps its sector."""

    model_config = example({"capacityMax": 6, "active": True})

    def settings(self) -> dict[str, Any]:
        given = super().settings()
        least = _either("capacityMin", self.capacity_min, "minSize", self.min_size)
        most = _either("capacityMax", self.capacity_max, "maxSize", self.max_size)
        return (
            given
            | ({} if least is None else {"capacity_min": least})
            | ({} if most is None else {"capacity_max": most})
        )


def _needed(name: str, value: int | None) -> int:
    if value is None:
        raise ValidationFailed.at(name, _("This field is required."))
    return value


def _either(name: str, value: int | None, other_name: str, other: int | None) -> int | None:
    if value is not None and other is not None and value != other:
        raise ValidationFailed.at(other_name, format_lazy(_("This differs from {field}."), field=name))
    return value if value is not None else other


RESTAURANT: Final = {
    "id": "R2",
    "name": "Bistro Norte",
    "timezone": "Europe/Madrid",
    "minPartySize": 1,
    "maxPartySize": 50,
    "minDurationMinutes": 30,
    "maxDurationMinutes": 180,
    "refusePast": True,
    "leadMinutes": None,
    "horizonDays": 90,
    "windows": [{"weekday": 0, "start": "20:00", "end": "23:45", "lastSeating": None}],
    "specialDays": [{"date": "2026-12-25", "name": "Christmas", "windows": []}],
    "turnTimes": [{"partyUpTo": 4, "minutes": 90}],
    "createdAt": "2025-10-20T12:00:00.000Z",
    "updatedAt": "2025-10-20T12:00:00.000Z",
}
SECTOR: Final = {
    "id": "S2",
    "restaurantId": "R2",
    "name": "Terrace",
    "position": 0,
    "joins": [],
    "combos": [],
}
TABLE: Final = {
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
    "position": 0,
    "x": 60,
    "y": 80,
    "width": 80,
    "height": 80,
    "shape": "square",
}
ONE_PAGE: Final = {"page": 1, "limit": 50, "total": 1, "totalPages": 1}


class SpecialWindowOut(ApiModel):
    start: str = Field(examples=["12:00"])
    end: str = Field(examples=["17:00"])
    last_seating: str | None


class WindowOut(ApiModel):
    weekday: int = Field(description="0 = Monday.")
    start: str = Field(examples=["20:00"])
    end: str = Field(examples=["23:45"])
    last_seating: str | None


class SpecialDayOut(ApiModel):
    date: date
    name: str
    windows: list[SpecialWindowOut]


class TurnTimeOut(ApiModel):
    party_up_to: int
    minutes: int


class RestaurantOut(ApiModel):
    model_config = example(RESTAURANT)

    id: str = Field(examples=["R1"])
    name: str = Field(examples=["Bistro Central"])
    timezone: str = Field(examples=["America/Argentina/Buenos_Aires"])
    min_party_size: int = Field(examples=[1])
    max_party_size: int = Field(examples=[50])
    min_duration_minutes: int = Field(examples=[30])
    max_duration_minutes: int = Field(examples=[180])
    refuse_past: bool
    lead_minutes: int | None
    horizon_days: int | None
    windows: list[WindowOut]
    special_days: list[SpecialDayOut]
    turn_times: list[TurnTimeOut]
    created_at: datetime
    updated_at: datetime


class CapacityOut(ApiModel):
    min: int = Field(examples=[2])
    max: int = Field(examples=[4])


class ComboOut(ApiModel):
    table_ids: list[str] = Field(examples=[["T2", "T3"]])
    capacity_min: int
    capacity_max: int
    capacity: CapacityOut


class SectorOut(ApiModel):
    model_config = example(SECTOR)

    id: str = Field(examples=["S1"])
    restaurant_id: str = Field(examples=["R1"])
    name: str = Field(examples=["Main Hall"])
    position: int
    joins: list[list[str]] = Field(examples=[[["T2", "T3"]]])
    combos: list[ComboOut]


class TableOut(ApiModel):
    """`minSize`/`maxSize` and `capacity` say the same as `capacityMin`/`capacityMax`."""

    model_config = example(TABLE)

    id: str = Field(examples=["T2"])
    sector_id: str = Field(examples=["S1"])
    name: str
    capacity_min: int = Field(examples=[2])
    capacity_max: int = Field(examples=[4])
    min_size: int = Field(examples=[2])
    max_size: int = Field(examples=[4])
    capacity: CapacityOut
    active: bool
    combinable: bool
    position: int
    x: int
    y: int
    width: int
    height: int
    shape: Table.Shape


class Pagination(ApiModel):
    page: int = Field(examples=[1])
    limit: int = Field(examples=[50])
    total: int = Field(examples=[1])
    total_pages: int = Field(examples=[1])


class RestaurantsOut(ApiModel):
    model_config = example({"restaurants": [RESTAURANT], "pagination": ONE_PAGE})

    restaurants: list[RestaurantOut]
    pagination: Pagination


class SectorsOut(ApiModel):
    model_config = example({"sectors": [SECTOR], "pagination": ONE_PAGE})

    sectors: list[SectorOut]
    pagination: Pagination


class TablesOut(ApiModel):
    model_config = example({"tables": [TABLE], "pagination": ONE_PAGE})

    tables: list[TableOut]
    pagination: Pagination


def pagination(found: Page[Any], query: PageQuery) -> Pagination:
    return Pagination(
        page=query.page,
        limit=query.limit,
        total=found.total,
        total_pages=-(-found.total // query.limit),
    )


def _clock(wall: time | None) -> str | None:
    return f"{wall:%H:%M}" if wall else None


def restaurant_out(restaurant: Restaurant) -> RestaurantOut:
    return RestaurantOut(
        id=restaurant.id,
        name=restaurant.name,
        timezone=restaurant.zone,
        min_party_size=restaurant.min_party,
        max_party_size=restaurant.max_party,
        min_duration_minutes=restaurant.min_duration,
        max_duration_minutes=restaurant.max_duration,
        refuse_past=restaurant.refuse_past,
        lead_minutes=restaurant.lead_minutes,
        horizon_days=restaurant.horizon_days,
        windows=[
            WindowOut(
                weekday=each.weekday,
                start=f"{each.opens:%H:%M}",
                end=f"{each.closes:%H:%M}",
                last_seating=_clock(each.last_seating),
            )
            for each in restaurant.windows.all()
        ],
        special_days=[
            SpecialDayOut(
                date=day.date,
                name=day.name,
                windows=[
                    SpecialWindowOut(
                        start=f"{each.opens:%H:%M}",
                        end=f"{each.closes:%H:%M}",
                        last_seating=_clock(each.last_seating),
                    )
                    for each in day.windows.all()
                ],
            )
            for day in restaurant.special_days.all()
        ],
        turn_times=[
            TurnTimeOut(party_up_to=each.party_up_to, minutes=each.minutes)
            for each in restaurant.turn_times.all()
        ],
        created_at=restaurant.created_at,
        updated_at=restaurant.updated_at,
    )


def sector_out(sector: Sector) -> SectorOut:
    return SectorOut(
        id=sector.id,
        restaurant_id=sector.restaurant_id,
        name=sector.name,
        position=sector.position,
        joins=sorted([each.first_id, each.second_id] for each in sector.joins.all()),
        combos=[
            ComboOut(
                table_ids=sorted(member.table_id for member in each.members.all()),
                capacity_min=each.capacity_min,
                capacity_max=each.capacity_max,
                capacity=CapacityOut(min=each.capacity_min, max=each.capacity_max),
            )
            for each in sector.combos.all()
        ],
    )


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
        position=table.position,
        x=table.x,
        y=table.y,
        width=table.width,
        height=table.height,
        shape=Table.Shape(table.shape),
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
