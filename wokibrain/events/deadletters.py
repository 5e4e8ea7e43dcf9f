"""Dead letters: list them, try them again, discard them."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from wokibrain.core import clock
from wokibrain.events import dispatch, registry
from wokibrain.events.envelope import Envelope, Unreadable
from wokibrain.events.models import Failure
from wokibrain.events.types import Group


@dataclass(frozen=True, slots=True)
class Outcome:
    """``done``: the consumer has handled the event, now or before. Else ``error`` says why it failed or waits."""

    done: bool
    error: str = ""


def dead() -> QuerySet[Failure]:
    """Return the dead letters that are not discarded, oldest first."""
    return Failure.objects.filter(dead_at__isnull=False, discarded_at=None).order_by("id")


def waiting() -> QuerySet[Failure]:
    """Return the failures that will be tried again, the next one first."""
    return Failure.objects.filter(retry_at__isnull=False).order_by("retry_at")


def replay(letter: Failure) -> Outcome:
    """Let the consumer handle a dead or discarded letter now, in this process, with a fresh count of attempts."""
    if letter.raw is not None:
        return _replay_raw(letter)
    try:
        registry.get(letter.consumer)
    except registry.UnknownConsumer as error:
        return Outcome(False, str(error))
    if letter.dead_at is None:
        return Outcome(False, gettext("It is not dead: it will be tried again by itself."))
    revived = Failure.objects.filter(~Q(dead_at=None), pk=letter.pk).update(
        attempts=0, retry_at=clock.now(), dead_at=None, discarded_at=None, announced_at=None
    )
    if revived:
        dispatch.handle(letter.consumer, [letter.event_id], retrying=True)
    failure = Failure.objects.filter(consumer=letter.consumer, event_id=letter.event_id).first()
    return Outcome(failure is None, failure.error if failure else "")


def _replay_raw(letter: Failure) -> Outcome:
    try:
        event = Envelope.from_bytes(bytes(letter.raw or b""))
    except Unreadable as error:
        return Outcome(False, str(error))
    names = [
        consumer.name
        for consumer in registry.consumers(Group(letter.consumer))
        if event.aggregate_type in consumer.topics
    ]
    for name in names:
        dispatch.handle(name, [event.event_id])
    # From here on a failure is recorded under the name of the consumer, not of its group.
    letter.delete()
    failure = Failure.objects.filter(consumer__in=names, event_id=event.event_id).first()
    return Outcome(failure is None, failure.error if failure else "")


def discard(letter: Failure) -> bool:
    """Give the event up for this consumer; it can still be replayed. Return False if it is not dead."""
    return bool(Failure.objects.filter(pk=letter.pk, dead_at__isnull=False).update(discarded_at=clock.now()))
