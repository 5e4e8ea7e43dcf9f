"""Requests and responses of the endpoints of tables."""

from __future__ import annotations

from typing import Annotated, Any, Final

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from pydantic import Field, field_validator

from restaurants.api.schemas.common import CapacityOut, OptionalName, Position, Seats, non_null
from restaurants.models import Table
from wokibrain.core.errors import ValidationFailed
from wokibrain.rest.fields import ApiModel, BodyModel, Identifier, example
from wokibrain.rest.paging import ONE_PAGE, Pagination

Centimetres = Annotated[int, Field(ge=0, le=1_000_000)]
Size = Annotated[int, Field(ge=1, le=1_000_000)]


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
        # In strict mode pydantic accepts only members of an enum, but JSON can only carry their text.
        return Table.Shape(value) if value in Table.Shape.values else value

    def settings(self) -> dict[str, Any]:
        return non_null(
            self, "name", "active", "combinable", "position", "x", "y", "width", "height", "shape"
        )


class TableBody(BodyModel, _PlanFields):
    """The capacity is `capacityMin` and `capacityMax`, or `minSize` and `maxSize`."""

    model_config = example({"id": "T6", "sectorId": "S2", "capacityMin": 2, "capacityMax": 4})

    id: Identifier | None = Field(None, examples=["T6"])
    sector_id: Identifier = Field(examples=["S1"])

    def capacity(self) -> tuple[int, int]:
        """Return the least and the greatest party. Raises ValidationFailed if one is missing or they contradict."""
        least = _needed("capacityMin", _either("capacityMin", self.capacity_min, "minSize", self.min_size))
        most = _needed("capacityMax", _either("capacityMax", self.capacity_max, "maxSize", self.max_size))
        if most < least:
            field = "maxSize" if self.capacity_max is None else "capacityMax"
            raise ValidationFailed.at(
                field, _("A table's largest party cannot be smaller than its smallest.")
            )
        return least, most

    def new_table(self) -> dict[str, Any]:
        """Return the arguments of ``create_table``, but for the caller. Raises as ``capacity`` does."""
        least, most = self.capacity()
        return self.settings() | {
            "id": self.id,
            "sector_id": self.sector_id,
            "capacity_min": least,
            "capacity_max": most,
        }


class TablePatch(BodyModel, _PlanFields):
    """The fields to change; fields left out stay. The sector cannot change."""

    model_config = example({"capacityMax": 6, "active": True})

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        least = _either("capacityMin", self.capacity_min, "minSize", self.min_size)
        most = _either("capacityMax", self.capacity_max, "maxSize", self.max_size)
        return (
            settings
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


class TableOut(ApiModel):
    """`minSize`/`maxSize` and `capacity` repeat `capacityMin`/`capacityMax`."""

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


class TablesOut(ApiModel):
    model_config = example({"tables": [TABLE], "pagination": ONE_PAGE})

    tables: list[TableOut]
    pagination: Pagination


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
