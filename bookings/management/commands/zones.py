"""`manage.py zones`: what would move by this host's time-zone rules; `--apply` moves it."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from bookings.repository import promises
from bookings.services import zones as service
from restaurants.selectors import derived_with
from wokibrain.core import zones


class Command(BaseCommand):
    help = (
        "List the bookings and blocks to come whose instants no longer fit the wall times that were promised."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--apply", action="store_true", help="derive the instants anew, with an event for each booking"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        promises.complete()
        self.stdout.write(f"rules {zones.release()}, instants by {derived_with()}")
        moves = service.apply() if options["apply"] else service.pending()
        for move in moves:
            instant = f"{move.instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if move.instant else "stays"
            problem = f"  ! {move.problem}" if move.problem else ""
            self.stdout.write(
                f"{move.restaurant_id}  {move.name}  told {move.told:%Y-%m-%d %H:%M} {move.zone}, "
                f"reads {move.shown:%Y-%m-%d %H:%M}, {instant}{problem}"
            )
        attention = sum(move.problem is not None for move in moves)
        done = "moved" if options["apply"] else "would move"
        self.stdout.write(
            f"{sum(move.instant is not None for move in moves)} {done}, {attention} need attention"
        )
