"""Limits password guessing, wherever a password is accepted.

An attempt is counted before the password is checked, in one atomic statement, so concurrent attempts
gain nothing over sequential ones. The counts are in Postgres, where the passwords are: without it there
are no sign-ins anyway.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import connection

from wokibrain.access.models import SignInCount
from wokibrain.core import clock
from wokibrain.core.errors import RateLimitExceeded

WINDOW: Final = timedelta(minutes=15)
LIMITS: Final = {"both": 5, "address": 30, "account": 100}
"""Failed attempts per WINDOW: at one account from one address, from one address, at one account.

The last is high, so that a stranger cannot easily lock out the owner.
"""

COUNT: Final = """
INSERT INTO access_signincount AS kept (subject, tries, until)
SELECT subject, 1, %(until)s FROM unnest(%(subjects)s::text[]) AS subject ORDER BY subject
ON CONFLICT (subject) DO UPDATE SET
    tries = CASE WHEN kept.until <= %(now)s THEN 1 ELSE kept.tries + 1 END,
    until = CASE WHEN kept.until <= %(now)s THEN %(until)s ELSE kept.until END
RETURNING subject, tries, until
"""


class TooManyAttempts(RateLimitExceeded):
    """``first`` is true for the attempt that exceeds a limit first; only that one is audited."""

    first = False


def admit(account: str, address: str) -> None:
    """Count an attempt. Raises TooManyAttempts, with the seconds to wait, when a limit is exceeded."""
    subjects = _subjects(account, address)
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"subjects": sorted(subjects.values()), "now": now, "until": now + WINDOW})
        counted = {subject: (tries, until) for subject, tries, until in cursor.fetchall()}
    over = {
        kind: (tries - LIMITS[kind], (until - now).total_seconds())
        for kind, (tries, until) in ((kind, counted[subject]) for kind, subject in subjects.items())
        if tries > LIMITS[kind]
    }
    if over:
        error = TooManyAttempts.after(int(max(wait for _, wait in over.values())) + 1)
        error.first = all(by == 1 for by, _ in over.values())
        raise error


def succeeded(account: str, address: str) -> None:
    """Reset the count of this account and address after a correct password, and take the attempt off the others."""
    subjects = _subjects(account, address)
    SignInCount.objects.filter(pk=subjects["both"]).delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE access_signincount SET tries = tries - 1 WHERE subject = ANY(%s) AND tries > 0",
            [[subjects["address"], subjects["account"]]],
        )


def forget_old() -> int:
    """Delete expired counts. Returns how many."""
    return SignInCount.objects.filter(until__lte=clock.now()).delete()[0]


def _subjects(account: str, address: str) -> dict[str, str]:
    account = account.casefold()
    parts = {"both": f"{account}\n{address}", "address": address, "account": account}
    return {
        kind: hmac.new(settings.SECRET_KEY.encode(), f"{kind}:{text}".encode(), "sha256").hexdigest()
        for kind, text in parts.items()
    }
