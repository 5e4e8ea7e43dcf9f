"""`manage.py tidy`: delete data past its term; to be run once a day."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from wokibrain.core.retention import tidy


class Command(BaseCommand):
    help = "Erase guests past their retention; delete stored answers, sessions and counts that are over."

    def handle(self, *args: Any, **options: Any) -> None:
        for name, count in tidy().items():
            self.stdout.write(f"{name}: {count}")
