"""`manage.py verify`: is everything as it must be? The exit status says so."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from wokibrain.events import invariants


class Command(BaseCommand):
    help = (
        "Check: no table is held twice, versions have no gap, bookings and read models are the fold of their "
        "events, every event that was handed on was handled. Exit status 1 if anything is wrong."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        for name, count in invariants.run():
            wrong += bool(count)
            self.stdout.write(f"{'ok' if not count else 'WRONG':<6} {name}{f': {count}' if count else ''}")
        if wrong:
            raise CommandError(f"{wrong} checks failed.")
