"""`manage.py rekey_webhooks`: run it after putting a new key in front of WEBHOOK_SECRET_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webhooks import encryption, housekeeping


class Command(BaseCommand):
    help = (
        "Encrypt all webhook secrets with the first of WEBHOOK_SECRET_KEYS; the others may then be removed."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = housekeeping.rekey()
        except encryption.Unreadable:
            raise CommandError(
                "A secret was encrypted with a key that is not in WEBHOOK_SECRET_KEYS."
            ) from None
        self.stdout.write(f"{count} webhooks")
