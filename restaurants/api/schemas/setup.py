"""Responses of the set-up endpoints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wokibrain.rest.fields import ApiModel, example


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
