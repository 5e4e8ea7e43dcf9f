"""What the floor board's requests contain."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from bookings.api.schemas import Duration, GuestName, Notes, Party, QueryDuration, QueryParty
from bookings.floor.board import today
from bookings.repository.records import Contact
from bookings.services.walk_in import WalkIn
from wokibrain.rest import fields
from wokibrain.rest.fields import ApiModel, BodyModel, Identifier, Instant, Line, ServiceDate

Version = Annotated[int, Field(ge=1)]
Centimetres = Annotated[int, Field(ge=0, le=10_000)]


class DayQuery(ApiModel):
    restaurant: Identifier
    date: ServiceDate | None = None

    def day(self) -> dt.date:
        """Return the service date, which is the restaurant's today unless the query names one."""
        return self.date or today(self.restaurant)


class SearchQuery(DayQuery):
    q: Annotated[str, Field(max_length=100)] = ""


class SheetQuery(DayQuery):
    by: Literal["time", "table"] = "time"


class SuggestQuery(ApiModel):
    restaurant: Identifier
    date: ServiceDate
    start: fields.Start
    party: QueryParty
    minutes: QueryDuration | None = None
    sector: Identifier | None = None


class WalkInBody(BodyModel):
    restaurant_id: Identifier
    party_size: Party
    sector_id: Identifier | None = None
    table_ids: fields.TableIds | None = None
    duration_minutes: Duration | None = None
    guest_name: GuestName | None = None
    notes: Notes | None = None

    def walk_in(self) -> WalkIn:
        return WalkIn(
            restaurant_id=self.restaurant_id,
            party_size=self.party_size,
            sector_id=self.sector_id,
            table_ids=frozenset(self.table_ids) if self.table_ids else None,
            duration_minutes=self.duration_minutes,
            contact=Contact(name=self.guest_name or ""),
            notes=self.notes or "",
        )


class UndoBody(BodyModel):
    version: Version


class SwapBody(BodyModel):
    version: Version
    with_booking: Line
    with_version: Version


class BlockBody(BodyModel):
    table_id: Identifier
    start: Instant
    end: Instant
    reason: Annotated[Line, Field(max_length=200)] = ""


class UnblockBody(BodyModel):
    table_id: Identifier
    block_id: Line


class TablePosition(BodyModel):
    """Where a table stands on the room plan."""

    id: Identifier
    x: Centimetres
    y: Centimetres


class TablePositionsBody(BodyModel):
    restaurant_id: Identifier
    tables: Annotated[list[TablePosition], Field(min_length=1, max_length=500)]
