"""Fields that the endpoints of restaurants, sectors and tables share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from restaurants.models import MAX_PARTY
from wokibrain.rest.fields import ApiModel, Line, QueryModel

Name = Annotated[Line, Field(min_length=1, max_length=100, examples=["Bistro Central"])]
OptionalName = Annotated[Line, Field(max_length=100)]
Seats = Annotated[int, Field(ge=1, le=MAX_PARTY)]
Position = Annotated[int, Field(ge=0, le=32_767)]


class AcknowledgeQuery(QueryModel):
    acknowledge: Annotated[Line, Field(max_length=64)] | None = Field(
        None, description="The token of the listed bookings that no longer fit after the change."
    )


def non_null(body: BaseModel, *names: str) -> dict[str, Any]:
    """Return the named fields that are not null."""
    return {name: getattr(body, name) for name in names if getattr(body, name) is not None}


class CapacityOut(ApiModel):
    min: int = Field(examples=[2])
    max: int = Field(examples=[4])
