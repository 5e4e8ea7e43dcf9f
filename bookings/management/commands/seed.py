from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from bookings import seed


class Command(BaseCommand):
    help = "Seed the example restaurant R1; with --demo also two restaurants with three weeks of bookings."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="two restaurants with a life")

    def handle(self, *args: Any, **options: Any) -> None:
        seed.example()
        self.stdout.write("Seeded R1 (Bistro Central): S1, T1-T5, B1.")
