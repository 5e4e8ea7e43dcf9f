"""When to try again. Pure: no clock, no database."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from webhooks.http_client import Outcome

RETRIED: Final = frozenset({408, 425, 429})
JITTER: Final = 0.2
LONGEST_ASKED: Final = 3_600.0
TOO_MANY: Final = 60.0


class Verdict(Enum):
    DELIVERED = auto()
    RETRY = auto()
    FAILED = auto()
    GONE = auto()


@dataclass(frozen=True, slots=True)
class Schedule:
    """``quick``: when the first attempts are due, in seconds from the first. ``pauses``: how long to wait
    after each attempt from then on, give or take JITTER, but never less than the first pause."""

    quick: Sequence[float]
    pauses: Sequence[float]

    @property
    def attempts(self) -> int:
        return len(self.quick) + len(self.pauses)

    def next(
        self, tries: int, *, started: datetime, ended: datetime, outcome: Outcome, chance: random.Random
    ) -> datetime | None:
        """When attempt number ``tries`` + 1 of this round is due; None when there is none left."""
        if tries >= self.attempts:
            return None
        if tries < len(self.quick):
            gap = self.quick[tries] - self.quick[tries - 1]
            # From the start of the one before, so that the offsets hold; but not at once after a slow one.
            due = max(started + timedelta(seconds=gap), ended + timedelta(seconds=gap / 2))
        else:
            pause = self.pauses[tries - len(self.quick)]
            least = max(pause * (1 - JITTER), min(self.pauses[0], pause))
            due = ended + timedelta(seconds=chance.uniform(least, pause * (1 + JITTER)))
        return max(due, ended + timedelta(seconds=_asked(outcome)))


def _asked(outcome: Outcome) -> float:
    """How long the receiver wants to be left alone."""
    if outcome.status not in (429, 503):
        return 0.0
    if outcome.retry_after is not None:
        return min(outcome.retry_after, LONGEST_ASKED)
    return TOO_MANY if outcome.status == 429 else 0.0


def judge(outcome: Outcome) -> Verdict:
    """What an attempt's outcome means. A redirect is a failure like any other answer that is not retried."""
    if outcome.ok:
        return Verdict.DELIVERED
    if outcome.status is None or outcome.status >= 500 or outcome.status in RETRIED:
        return Verdict.RETRY
    return Verdict.GONE if outcome.status == 410 else Verdict.FAILED
