"""`manage.py apikey create|list|revoke`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from wokibrain.access import keys
from wokibrain.access.models import ApiKey
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.core.errors import DomainError
from wokibrain.core.permissions import Permission, Role

MAX_DAYS = 36_500
"""A hundred years, within what a timestamp can hold."""


class Command(BaseCommand):
    help = "Create, list and revoke API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="create a key; its token is printed this once")
        create.add_argument("name")
        create.add_argument("--role", choices=Role.values, default=Role.API_CLIENT.value)
        create.add_argument(
            "--restaurant", metavar="ID", help="limit the key to one restaurant; default: all"
        )
        create.add_argument(
            "--scope", action="append", choices=[permission.value for permission in Permission]
        )
        create.add_argument("--days", type=int, help="days until it expires; default: never")
        actions.add_parser("list", help="list all keys, without their secrets")
        revoke = actions.add_parser(
            "revoke", help="revoke a key; it stops working everywhere within a second"
        )
        revoke.add_argument("key", help="its id, or wk_ and the eight characters after it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["action"])(options)
        except DomainError as error:
            raise CommandError(
                "; ".join(str(issue.message) for issue in error.issues) or str(error.detail)
            ) from None

    def create(self, options: dict[str, Any]) -> None:
        days = options["days"]
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days must be between 1 and {MAX_DAYS}.")
        key, token = keys.create_key(
            caller=SYSTEM,
            name=options["name"],
            role=options["role"],
            restaurant_id=options["restaurant"],
            scopes=options["scope"],
            expires_at=clock.now() + timedelta(days=days) if days is not None else None,
        )
        self.stderr.write(
            f"{key.name}: {key.role} at {key.restaurant_id or 'all restaurants'}. Keep the token:"
        )
        self.stdout.write(token)

    def list(self, options: dict[str, Any]) -> None:
        for key in keys.keys_of(SYSTEM):
            self.stdout.write("\t".join(_columns(key)))

    def revoke(self, options: dict[str, Any]) -> None:
        key = keys.revoke_key(caller=SYSTEM, key_id=options["key"])
        self.stdout.write(f"revoked {key}")


def _columns(key: ApiKey) -> list[str]:
    state = "revoked" if key.revoked_at else "active"
    if not key.revoked_at and key.expires_at and key.expires_at <= clock.now():
        state = "expired"
    return [
        str(key.id), f"wk_{key.prefix}", key.name, key.role, key.restaurant_id or "*",
        ",".join(key.scopes) if key.scopes is not None else "all", state,
        f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used",
    ]  # fmt: skip
