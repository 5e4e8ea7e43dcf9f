"""What operators do with dead letters: look, try again, discard."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from wokibrain.core import clock
from wokibrain.events import dispatch, registry
from wokibrain.events.models import Failure
from wokibrain.events.store import Envelope, Unreadable
from wokibrain.events.types import Group


@dataclass(frozen=True, slots=True)
class Outcome:
    """``done``: the effect was had (now or before). Otherwise ``error`` says why it is dead again or waits."""

    done: bool
    error: str = ""


def dead() -> QuerySet[Failure]:
    """The dead letters nobody has discarded, oldest first."""
    return Failure.objects.filter(dead_at__isnull=False, discarded_at=None).order_by("id")


def waiting() -> QuerySet[Failure]:
    """What failed and will be tried again, the next one first."""
    return Failure.objects.filter(retry_at__isnull=False).order_by("retry_at")


def replay(letter: Failure) -> Outcome:
    """Try a dead or discarded letter again, now and here, with a fresh count of attempts."""
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
    left = Failure.objects.filter(consumer=letter.consumer, event_id=letter.event_id).first()
    return Outcome(left is None, left.error if left else "")


def _replay_raw(letter: Failure) -> Outcome:
    try:
        event = Envelope.from_bytes(bytes(letter.raw or b""))
    except Unreadable as error:
        return Outcome(False, str(error))
    takers = [one for one in registry.consumers(Group(letter.consumer)) if event.aggregate_type in one.topics]
    for consumer in takers:
        dispatch.handle(consumer.name, [event.event_id])
    # What a consumer makes of the event from here on stands under that consumer's own name.
    letter.delete()
    left = Failure.objects.filter(consumer__in=[one.name for one in takers], event_id=event.event_id).first()
    return Outcome(left is None, left.error if left else "")


def discard(letter: Failure) -> bool:
    """Leave the event without effect for this consumer for good; it can still be replayed. False if it is not dead."""
    return bool(Failure.objects.filter(pk=letter.pk, dead_at__isnull=False).update(discarded_at=clock.now()))
