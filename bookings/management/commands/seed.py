from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from bookings import demo, seed


class Command(BaseCommand):
    help = "Seed the example restaurant R1; with --demo also two restaurants with three weeks of bookings."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="two restaurants with a life")

    def handle(self, *args: Any, **options: Any) -> None:
        seed.example()
        self.stdout.write("Seeded R1 (Bistro Central): S1, T1-T5, B1.")
        if options["demo"]:
            made = demo.demo(self._progress)
            self.stdout.write(
                f"\nSeeded {' and '.join(house.name for house in demo.HOUSES)}: {made} new bookings."
            )

    def _progress(self, done: int, total: int) -> None:
        filled = 30 * done // total
        self.stdout.write(f"\r[{'#' * filled}{'.' * (30 - filled)}] {100 * done // total:3d} %", ending="")
        self.stdout.flush()
