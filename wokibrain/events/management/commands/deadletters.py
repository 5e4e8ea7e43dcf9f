"""`manage.py deadletters list|show|replay|discard`."""

import base64
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from wokibrain.events import deadletters, store
from wokibrain.events.models import Failure


class Command(BaseCommand):
    help = "Events a consumer gave up on: list, show, replay or discard them."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the dead letters, oldest first")
        listing.add_argument(
            "--waiting", action="store_true", help="what failed and will be tried again, too"
        )
        for name, text in (
            ("show", "one of them with its event"),
            ("replay", "try again now, with a fresh count of attempts"),
            ("discard", "leave the event without effect for that consumer"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("ids", nargs="*", type=int, metavar="ID")
            if name != "show":
                action.add_argument("--all", action="store_true", help="every dead letter")
                action.add_argument("--consumer", help="with --all: only this consumer's")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "list":
            return self._list(options["waiting"])
        letters = self._selected(options)
        if action == "show":
            for letter in letters:
                self._show(letter)
            return None
        failed = 0
        for letter in letters:
            if action == "discard":
                discarded = deadletters.discard(letter)
                failed += not discarded
                result = "discarded" if discarded else "not dead: it will be tried again by itself"
                self.stdout.write(f"{letter.pk}: {result}")
                continue
            outcome = deadletters.replay(letter)
            failed += not outcome.done
            self.stdout.write(f"{letter.pk}: {'done' if outcome.done else f'failed again: {outcome.error}'}")
        if failed:
            again = "failed again" if action == "replay" else "were not discarded"
            raise CommandError(f"{failed} of {len(letters)} {again}.")
        return None

    def _list(self, waiting: bool) -> None:
        letters = list(deadletters.dead())
        for letter in letters:
            self._line(letter, f"dead since {letter.dead_at:%Y-%m-%d %H:%M:%S}")
        for letter in deadletters.waiting() if waiting else ():
            self._line(letter, f"next try {letter.retry_at:%Y-%m-%d %H:%M:%S}")
        if not letters:
            self.stdout.write("No dead letters.")

    def _line(self, letter: Failure, state: str) -> None:
        self.stdout.write(
            f"{letter.pk:>6}  {letter.consumer:<18} {state}  attempts {letter.attempts}  "
            f"{letter.origin}  {letter.error}"
        )

    def _selected(self, options: dict[str, Any]) -> list[Failure]:
        if bool(options["ids"]) == options.get("all", False):
            raise CommandError("Name the ids that `deadletters list` shows, or say --all; not both.")
        if options.get("consumer") and not options["all"]:
            raise CommandError("--consumer goes with --all.")
        if options.get("all"):
            letters = deadletters.dead()
            return list(letters.filter(consumer=options["consumer"]) if options["consumer"] else letters)
        letters_by_id = {letter.pk: letter for letter in Failure.objects.filter(pk__in=options["ids"])}
        if missing := [str(pk) for pk in options["ids"] if pk not in letters_by_id]:
            raise CommandError(f"No dead letter {', '.join(missing)}.")
        return [letters_by_id[pk] for pk in options["ids"]]

    def _show(self, letter: Failure) -> None:
        self._line(letter, "dead" if letter.dead_at else "waiting")
        for event in store.by_ids([letter.event_id]):
            self.stdout.write(event.to_bytes().decode())
        if letter.raw is not None:
            self.stdout.write(f"base64: {base64.b64encode(bytes(letter.raw)).decode()}")
