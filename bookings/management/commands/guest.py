"""`manage.py guest export|erase|expire`."""

from __future__ import annotations

from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from bookings.services import guests
from wokibrain.core.callers import SYSTEM


class Command(BaseCommand):
    help = "Show a guest's data, erase it, or erase what has been kept long enough."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for name, text in (
            ("export", "all that is kept of a guest, as JSON"),
            ("erase", "empty the person; bookings and counts stay"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("contact", help="the guest's id, e-mail address or phone number")
            action.add_argument("--restaurant", metavar="ID", help="only there; else everywhere")
        actions.add_parser("expire", help="erase who has not been here for GUEST_RETENTION_DAYS")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "expire":
            self.stdout.write(f"erased {guests.erase_expired()}")
            return
        found = list(
            guests.find_guests(caller=SYSTEM, contact=options["contact"], restaurant_id=options["restaurant"])
        )
        if not found:
            raise CommandError("There is no such guest.")
        if options["action"] == "export":
            exported = [guests.export_guest(caller=SYSTEM, guest_id=each.pk) for each in found]
            self.stdout.write(orjson.dumps(exported, option=orjson.OPT_INDENT_2).decode())
            return
        for each in found:
            guests.erase_guest(caller=SYSTEM, guest_id=each.pk)
            self.stdout.write(f"erased {each.pk}")
