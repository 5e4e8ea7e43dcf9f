"""Requests and responses of the endpoints of restaurants."""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from restaurants.api.schemas.common import Name, OptionalName, Seats
from restaurants.models import Restaurant
from restaurants.models.values import lies_within
from restaurants.services.calendar import DEFAULT_HOURS, Calendar, Hours, SpecialHours, Turn
from wokibrain.core import clock
from wokibrain.rest import fields
from wokibrain.rest.fields import ApiModel, BodyModel, Identifier, Line, ServiceDate, Stamp, WallTime, example
from wokibrain.rest.paging import ONE_PAGE, Pagination

Zone = Annotated[Line, Field(min_length=1, max_length=64, examples=["America/Argentina/Buenos_Aires"])]
Minutes = Annotated[int, Field(ge=15, le=1440, multiple_of=15, description="Minutes, a multiple of 15.")]


class _WindowBody(BodyModel):
    start: WallTime
    end: WallTime
    last_seating: WallTime | None = Field(
        None, description="The latest start of a booking; within the window."
    )

    @field_validator("last_seating")
    @classmethod
    def _within(cls, last: time | None, info: ValidationInfo) -> time | None:
        start, end = info.data.get("start"), info.data.get("end")
        if last and start and end and not lies_within(start, end, last):
            raise fields.invalid("last_seating")
        return last


class WindowBody(_WindowBody):
    """A service window on a `weekday` (0 = Monday); without one, on every day."""

    start: WallTime = Field(examples=["20:00"])
    end: WallTime = Field(examples=["23:45"], description="If at or before `start`, on the next day.")
    weekday: Annotated[int, Field(ge=0, le=6)] | None = None

    def hours(self) -> Hours:
        return Hours(self.start, self.end, self.last_seating, self.weekday)


class SpecialWindowBody(_WindowBody):
    start: WallTime = Field(examples=["12:00"])
    end: WallTime = Field(examples=["17:00"], description="If at or before `start`, on the next day.")

    def hours(self) -> Hours:
        return Hours(self.start, self.end, self.last_seating)


class SpecialDayBody(BodyModel):
    """A date with windows of its own, which replace the weekday's; without any the restaurant is closed."""

    date: ServiceDate = Field(examples=["2026-12-25"])
    name: OptionalName = Field("", examples=["Christmas"])
    windows: Annotated[list[SpecialWindowBody], Field(max_length=10)] = Field([])

    def hours(self) -> SpecialHours:
        return SpecialHours(self.date, self.name, tuple(window.hours() for window in self.windows))


class TurnTimeBody(BodyModel):
    """How long a party of at most `partyUpTo` stays if a request has no duration."""

    party_up_to: Seats = Field(examples=[4])
    minutes: Minutes = Field(examples=[90])


def _each_size_once(turns: list[TurnTimeBody]) -> list[TurnTimeBody]:
    fields.unique([str(turn.party_up_to) for turn in turns])
    return turns


class _CalendarFields(ApiModel):
    """A restaurant's calendar; a list replaces the present one."""

    windows: Annotated[list[WindowBody], Field(max_length=70)] | None = None
    special_days: Annotated[list[SpecialDayBody], Field(max_length=400)] | None = None
    turn_times: (
        Annotated[list[TurnTimeBody], Field(max_length=50), AfterValidator(_each_size_once)] | None
    ) = None

    def calendar(self) -> Calendar:
        return Calendar(
            hours=None if self.windows is None else [window.hours() for window in self.windows],
            special=None if self.special_days is None else [day.hours() for day in self.special_days],
            turns=None
            if self.turn_times is None
            else [Turn(turn.party_up_to, turn.minutes) for turn in self.turn_times],
        )


class _SettingsFields(ApiModel):
    min_party_size: Seats | None = None
    max_party_size: Seats | None = None
    min_duration_minutes: Minutes | None = None
    max_duration_minutes: Minutes | None = None
    refuse_past: bool | None = None
    lead_minutes: Annotated[int, Field(ge=0, le=525_600)] | None = Field(
        None, description="Minutes by which a booking must be made ahead; null for no such rule."
    )
    horizon_days: Annotated[int, Field(ge=0, le=3650)] | None = Field(
        None, description="Days by which a booking may be made ahead at most; null for no such rule."
    )
    occupied_margin_minutes: Annotated[int, Field(ge=0, le=120)] | None = Field(
        None, description="Minutes from now for which a table is not offered while a party sits there."
    )

    def settings(self) -> dict[str, Any]:
        """Return the fields that were sent, by the model's names; null only where it means "no such rule"."""
        values = {field: getattr(self, field) for field in self.model_fields_set if field in MODEL_FIELDS}
        return {
            MODEL_FIELDS[field]: value
            for field, value in values.items()
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
    "occupied_margin_minutes": "occupied_margin",
}
"""Field of a restaurant in the API -> field of the model."""


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

    def new_restaurant(self) -> dict[str, Any]:
        """Return the arguments of ``create_restaurant``, but for the caller."""
        calendar = self.calendar()
        return self.settings() | {
            "id": self.id,
            "hours": DEFAULT_HOURS if calendar.hours is None else calendar.hours,
            "special": calendar.special or (),
            "turns": calendar.turns or (),
        }


class RestaurantPatch(BodyModel, _CalendarFields, _SettingsFields):
    """The fields to change; fields left out stay. `leadMinutes` and `horizonDays` accept null."""

    model_config = example({"name": "Bistro Norte", "leadMinutes": 60})

    name: Name | None = None
    timezone: Zone | None = None


RESTAURANT: Final = {
    "id": "R2",
    "name": "Bistro Norte",
    "timezone": "Europe/Madrid",
    "timezoneKnown": True,
    "minPartySize": 1,
    "maxPartySize": 50,
    "minDurationMinutes": 30,
    "maxDurationMinutes": 180,
    "refusePast": True,
    "leadMinutes": None,
    "horizonDays": 90,
    "occupiedMarginMinutes": 15,
    "windows": [{"weekday": 0, "start": "20:00", "end": "23:45", "lastSeating": None}],
    "specialDays": [{"date": "2026-12-25", "name": "Christmas", "windows": []}],
    "turnTimes": [{"partyUpTo": 4, "minutes": 90}],
    "createdAt": "2025-10-20T14:00:00.000+02:00",
    "updatedAt": "2025-10-20T14:00:00.000+02:00",
}


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
    timezone_known: bool = Field(
        description="Whether the server has rules for the time zone. Without, instants are shown in UTC or at the "
        "offset they were promised by, and nothing can be booked (503).",
        examples=[True],
    )
    min_party_size: int = Field(examples=[1])
    max_party_size: int = Field(examples=[50])
    min_duration_minutes: int = Field(examples=[30])
    max_duration_minutes: int = Field(examples=[180])
    refuse_past: bool
    lead_minutes: int | None
    horizon_days: int | None
    occupied_margin_minutes: int
    windows: list[WindowOut]
    special_days: list[SpecialDayOut]
    turn_times: list[TurnTimeOut]
    created_at: Stamp
    updated_at: Stamp


class RestaurantsOut(ApiModel):
    model_config = example({"restaurants": [RESTAURANT], "pagination": ONE_PAGE})

    restaurants: list[RestaurantOut]
    pagination: Pagination


def _clock(wall: time | None) -> str | None:
    return f"{wall:%H:%M}" if wall else None


def restaurant_out(restaurant: Restaurant) -> RestaurantOut:
    zone = clock.zone_or_utc(restaurant.zone)
    return RestaurantOut(
        id=restaurant.id,
        name=restaurant.name,
        timezone=restaurant.zone,
        timezone_known=clock.is_known_zone(restaurant.zone),
        min_party_size=restaurant.min_party,
        max_party_size=restaurant.max_party,
        min_duration_minutes=restaurant.min_duration,
        max_duration_minutes=restaurant.max_duration,
        refuse_past=restaurant.refuse_past,
        lead_minutes=restaurant.lead_minutes,
        horizon_days=restaurant.horizon_days,
        occupied_margin_minutes=restaurant.occupied_margin,
        windows=[
            WindowOut(
                weekday=window.weekday,
                start=f"{window.opens:%H:%M}",
                end=f"{window.closes:%H:%M}",
                last_seating=_clock(window.last_seating),
            )
            for window in restaurant.windows.all()
        ],
        special_days=[
            SpecialDayOut(
                date=day.date,
                name=day.name,
                windows=[
                    SpecialWindowOut(
                        start=f"{window.opens:%H:%M}",
                        end=f"{window.closes:%H:%M}",
                        last_seating=_clock(window.last_seating),
                    )
                    for window in day.windows.all()
                ],
            )
            for day in restaurant.special_days.all()
        ],
        turn_times=[
            TurnTimeOut(party_up_to=turn.party_up_to, minutes=turn.minutes)
            for turn in restaurant.turn_times.all()
        ],
        created_at=restaurant.created_at.astimezone(zone),
        updated_at=restaurant.updated_at.astimezone(zone),
    )
