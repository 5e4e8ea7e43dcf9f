"""What the endpoints of restaurants, sectors and tables have in common."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from restaurants.models import MAX_PARTY
from restaurants.selectors import Page
from wokibrain.fields import ApiModel, Line, QueryInt

Name = Annotated[Line, Field(min_length=1, max_length=100, examples=["Bistro Central"])]
OptionalName = Annotated[Line, Field(max_length=100)]
Seats = Annotated[int, Field(ge=1, le=MAX_PARTY)]
Position = Annotated[int, Field(ge=0, le=32_767)]


class PageQuery(ApiModel):
    page: Annotated[QueryInt, Field(ge=1, le=10_000)] = 1
    limit: Annotated[QueryInt, Field(ge=1, le=200)] = 50


class AcknowledgeQuery(ApiModel):
    acknowledge: Annotated[Line, Field(max_length=64)] | None = Field(
        None, description="The token of the list of bookings that would lose their place."
    )


def given(body: BaseModel, *names: str) -> dict[str, Any]:
    """Those of the fields that were given and are not null."""
    return {name: getattr(body, name) for name in names if getattr(body, name) is not None}


class CapacityOut(ApiModel):
    min: int = Field(examples=[2])
    max: int = Field(examples=[4])


ONE_PAGE: Final = {"page": 1, "limit": 50, "total": 1, "totalPages": 1}


class Pagination(ApiModel):
    page: int = Field(examples=[1])
    limit: int = Field(examples=[50])
    total: int = Field(examples=[1])
    total_pages: int = Field(examples=[1])


def pagination(found: Page[Any], query: PageQuery) -> Pagination:
    return Pagination(
        page=query.page,
        limit=query.limit,
        total=found.total,
        total_pages=-(-found.total // query.limit),
    )
