"""What is kept only for a while."""

from __future__ import annotations

from django.contrib.sessions.models import Session

from bookings.services import guests
from wokibrain.access import password_guard, sessions
from wokibrain.core import clock
from wokibrain.idempotency import keys


def tidy() -> dict[str, int]:
    """Erase and delete what has been kept long enough; safe at any time, also twice at once."""
    return {
        "guests erased": guests.erase_expired(),
        "stored answers": keys.forget(),
        "login sessions": sessions.forget_old(),
        "back-office sessions": Session.objects.filter(expire_date__lte=clock.now()).delete()[0],
        "sign-in counts": password_guard.forget_old(),
    }
