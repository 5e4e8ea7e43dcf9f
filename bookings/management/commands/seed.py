"""`manage.py seed`: sample data, and credentials for a first look."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from bookings.sample_data import demo, example
from restaurants.models import Restaurant

MANAGE: Final = ".venv/bin/python manage.py"


class Command(BaseCommand):
    help = "Seed the example restaurant R1; with --demo also two restaurants with three weeks of bookings."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo", action="store_true", help="add two restaurants with three weeks of bookings"
        )
        parser.add_argument(
            "--in-production", action="store_true", help="confirm --demo on a production system"
        )
        parser.add_argument(
            "--first-look",
            action="store_true",
            help="seed R1 if there is no restaurant, and print an API key and a login; does nothing in production",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["first_look"]:
            self._first_look()
            return
        if options["demo"] and settings.PRODUCTION and not options["in_production"]:
            raise CommandError(
                "--demo creates weeks of bookings, and their events and audit entries can never be deleted. "
                "Add --in-production if this production system serves the demo only."
            )
        example.example()
        self.stdout.write("Seeded R1 (Bistro Central): S1, T1-T5, B1.")
        if options["demo"]:
            count = demo.demo(self._progress)
            self.stdout.write(
                f"\nSeeded {' and '.join(restaurant.name for restaurant in demo.RESTAURANTS)}: {count} new bookings."
            )

    def _first_look(self) -> None:
        if settings.PRODUCTION:
            return
        if not Restaurant.objects.exists():
            example.example()
        look, new = example.first_look()
        self.stdout.write(f"API key   {look.api_key}")
        if new or look.password_in_force():
            self.stdout.write(f"Login     {look.username} / {look.password}")
        else:
            self.stdout.write(f"Login     {look.username}, with the password that was set since")
        if not new:
            self.stdout.write(f"          for a new password: {MANAGE} changepassword {look.username}")

    def _progress(self, done: int, total: int) -> None:
        filled = 30 * done // total
        self.stdout.write(f"\r[{'#' * filled}{'.' * (30 - filled)}] {100 * done // total:3d} %", ending="")
        self.stdout.flush()
