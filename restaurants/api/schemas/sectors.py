"""Requests and responses of the endpoints of sectors."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from restaurants.api.schemas.common import CapacityOut, Name, Position, Seats, non_null
from restaurants.models import MAX_COMBO_TABLES, Sector
from restaurants.services.table_joins import Joined
from wokibrain.rest import fields
from wokibrain.rest.fields import ApiModel, BodyModel, Identifier, example
from wokibrain.rest.paging import ONE_PAGE, Pagination


class SetUpSectorBody(BodyModel):
    model_config = example({"id": "S2", "restaurantId": "R2", "name": "Terrace"})

    id: Identifier | None = Field(None, examples=["S2"])
    restaurant_id: Identifier = Field(examples=["R1"])
    name: Name


class NewSectorBody(BodyModel):
    model_config = example({"id": "S2", "name": "Terrace"})

    id: Identifier | None = Field(None, examples=["S2"])
    name: Name = Field(examples=["Terrace"])
    position: Position = 0


JoinPair = Annotated[list[Identifier], Field(min_length=2, max_length=2), AfterValidator(fields.unique)]


class ComboBody(BodyModel):
    """The capacity of these tables when combined, in place of the sum of their capacities."""

    table_ids: Annotated[
        list[Identifier], Field(min_length=2, max_length=MAX_COMBO_TABLES), AfterValidator(fields.unique)
    ] = Field(examples=[["T2", "T3"]])
    capacity_min: Seats = Field(examples=[5])
    capacity_max: Seats = Field(examples=[6])

    @field_validator("capacity_max")
    @classmethod
    def _at_least_minimum(cls, most: int, info: ValidationInfo) -> int:
        least: int = info.data.get("capacity_min", most)
        if most < least:
            raise PydanticCustomError("greater_than_equal", "too small", {"ge": least})
        return most

    def joined(self) -> Joined:
        return Joined(frozenset(self.table_ids), self.capacity_min, self.capacity_max)


class SectorPatch(BodyModel):
    """The fields to change; fields left out stay, and a list replaces the present one."""

    model_config = example({"name": "Terrace", "joins": [["T2", "T3"]]})

    name: Name | None = None
    position: Position | None = None
    joins: Annotated[list[JoinPair], Field(max_length=1000)] | None = Field(
        None,
        description="Pairs of tables that can be joined. Once there is one, only tables connected by pairs combine.",
        examples=[[["T2", "T3"]]],
    )
    combos: Annotated[list[ComboBody], Field(max_length=1000)] | None = None

    def settings(self) -> dict[str, Any]:
        return non_null(self, "name", "position")


SECTOR: Final = {
    "id": "S2",
    "restaurantId": "R2",
    "name": "Terrace",
    "position": 0,
    "joins": [],
    "combos": [],
}


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


class SectorsOut(ApiModel):
    model_config = example({"sectors": [SECTOR], "pagination": ONE_PAGE})

    sectors: list[SectorOut]
    pagination: Pagination


def sector_out(sector: Sector) -> SectorOut:
    return SectorOut(
        id=sector.id,
        restaurant_id=sector.restaurant_id,
        name=sector.name,
        position=sector.position,
        joins=sorted([join.first_id, join.second_id] for join in sector.joins.all()),
        combos=[
            ComboOut(
                table_ids=sorted(member.table_id for member in combo.members.all()),
                capacity_min=combo.capacity_min,
                capacity_max=combo.capacity_max,
                capacity=CapacityOut(min=combo.capacity_min, max=combo.capacity_max),
            )
            for combo in sector.combos.all()
        ],
    )
