"""Pages of lists in the API."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from wokibrain.rest.fields import ApiModel, QueryInt, QueryModel

ONE_PAGE: Final = {"page": 1, "limit": 50, "total": 1, "totalPages": 1}


class PageQuery(QueryModel):
    page: Annotated[QueryInt, Field(ge=1, le=10_000)] = 1
    limit: Annotated[QueryInt, Field(ge=1, le=200)] = 50


class Pagination(ApiModel):
    page: int = Field(examples=[1])
    limit: int = Field(examples=[50])
    total: int = Field(examples=[1])
    total_pages: int = Field(examples=[1])


def pagination(page: int, limit: int, total: int) -> Pagination:
    """Return the position of a page among those of ``total`` rows."""
    return Pagination(page=page, limit=limit, total=total, total_pages=-(-total // limit))
