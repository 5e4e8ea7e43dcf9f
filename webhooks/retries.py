"""When a failed delivery is tried again. Pure but for ``schedule``: no clock, no database."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from django.conf import settings

from webhooks.http_client import Outcome

RETRIED_STATUSES: Final = frozenset({408, 425, 429})
"""Statuses below 500 that say "later", not "never"."""
JITTER: Final = 0.2
"""How much a pause varies, as a share of it, so that receivers are not hit by all retries at once."""
MAX_RETRY_AFTER_SECONDS: Final = 3_600.0
"""The longest pause that a receiver's Retry-After is granted."""
TOO_MANY_REQUESTS_SECONDS: Final = 60.0
"""The pause after a 429 without Retry-After."""


class Verdict(Enum):
    """What becomes of a delivery after an attempt. GONE also deactivates the webhook."""

    DELIVERED = auto()
    RETRY = auto()
    FAILED = auto()
    GONE = auto()


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the attempts of one round are made.

    ``quick``: when the first ones are due, in seconds from the first, if each fails at once. ``pauses``: seconds
    to wait after each later attempt, give or take JITTER, but never less than the first pause.
    """

    quick: Sequence[float]
    pauses: Sequence[float]

    @property
    def attempts(self) -> int:
        return len(self.quick) + len(self.pauses)

    def next(
        self, tries: int, *, ended: datetime, outcome: Outcome, chance: random.Random
    ) -> datetime | None:
        """Return when attempt number ``tries`` + 1 of this round is due; None when none is left."""
        if tries >= self.attempts:
            return None
        if tries < len(self.quick):
            gap = self.quick[tries] - self.quick[tries - 1]
            # Not counted from the start: the claim precedes the receiver's first byte by what a client, a name and a
            # connection take to set up, most of it in the first attempt only.
            due = ended + timedelta(seconds=gap)
        else:
            pause = self.pauses[tries - len(self.quick)]
            least = max(pause * (1 - JITTER), min(self.pauses[0], pause))
            due = ended + timedelta(seconds=chance.uniform(least, pause * (1 + JITTER)))
        return max(due, ended + timedelta(seconds=_requested_pause(outcome)))


def schedule() -> Schedule:
    """Return the schedule of this installation: WEBHOOK_QUICK_ATTEMPTS, then WEBHOOK_RETRY_PAUSES."""
    return Schedule(settings.WEBHOOK_QUICK_ATTEMPTS, settings.WEBHOOK_RETRY_PAUSES)


def _requested_pause(outcome: Outcome) -> float:
    """Return how many seconds the receiver asks to be left alone."""
    if outcome.status not in (429, 503):
        return 0.0
    if outcome.retry_after is not None:
        return min(outcome.retry_after, MAX_RETRY_AFTER_SECONDS)
    return TOO_MANY_REQUESTS_SECONDS if outcome.status == 429 else 0.0


def judge(outcome: Outcome) -> Verdict:
    """Return what an attempt's outcome means for its delivery. A redirect is a failure that is not retried."""
    if outcome.ok:
        return Verdict.DELIVERED
    if outcome.status is None or outcome.status >= 500 or outcome.status in RETRIED_STATUSES:
        return Verdict.RETRY
    return Verdict.GONE if outcome.status == 410 else Verdict.FAILED
