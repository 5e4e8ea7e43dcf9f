"""The set-up endpoint that creates the example restaurant."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from bookings.sample_data import example
from restaurants.api.schemas.setup import SeededData, SeededOut
from restaurants.api.setup import SetUpView
from wokibrain.rest.openapi import operation
from wokibrain.rest.views import reply


class SeedView(SetUpView):
    @operation(
        "seed",
        "Seed the example restaurant",
        "Creates R1 with S1, T1-T5 and B1. Can be called repeatedly; what exists already stays.",
        out=SeededOut,
        tag="set-up",
        secret=True,
    )
    def post(self, request: Request) -> HttpResponse:
        example.example()
        return reply(
            SeededOut(message="Seeded.", data=SeededData(table_ids=[table for table, _, _ in example.TABLES]))
        )
