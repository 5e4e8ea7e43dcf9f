"""Sessions of the back office, which Django keeps in the database."""

from __future__ import annotations

from django.contrib.sessions.models import Session

from wokibrain.core import clock


def forget_expired() -> int:
    """Delete the sessions that have expired. Return how many."""
    return Session.objects.filter(expire_date__lte=clock.now()).delete()[0]
