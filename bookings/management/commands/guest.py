"""`manage.py guest export|erase|expire`."""

from __future__ import annotations

from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from bookings.services import guests
from wokibrain.core.callers import SYSTEM


class Command(BaseCommand):
    help = "Export or erase a guest's personal data, or erase guests past the retention period."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for name, text in (
            ("export", "print all data about a guest as JSON"),
            ("erase", "erase the personal data; bookings and counts stay"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("contact", help="the guest's id, e-mail address or phone number")
            action.add_argument(
                "--restaurant", metavar="ID", help="only in this restaurant (default: in all)"
            )
        actions.add_parser(
            "expire", help="erase guests whose last visit is longer ago than GUEST_RETENTION_DAYS"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "expire":
            self.stdout.write(f"erased {guests.erase_expired()}")
            return
        matches = list(
            guests.find_guests(caller=SYSTEM, contact=options["contact"], restaurant_id=options["restaurant"])
        )
        if not matches:
            raise CommandError("No guest has this id, e-mail address or phone number.")
        if options["action"] == "export":
            exported = [guests.export_guest(caller=SYSTEM, guest_id=guest.pk) for guest in matches]
            self.stdout.write(orjson.dumps(exported, option=orjson.OPT_INDENT_2).decode())
            return
        for guest in matches:
            guests.erase_guest(caller=SYSTEM, guest_id=guest.pk)
            self.stdout.write(f"erased {guest.pk}")
