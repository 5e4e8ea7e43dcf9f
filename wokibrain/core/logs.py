"""Logs: one JSON object a line in production, with who, which request and which trace, and no secrets.

Whatever logs through the standard library comes through here, ours and others'. Only the extras
named in EXTRAS are taken over, so that no library can log a request with all its headers.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, Final

import orjson
import structlog

from wokibrain.core import context

EXTRAS: Final = frozenset({"actor", "action", "target", "method", "route", "status", "ms"})

# A key's first eight characters name it and are no secret.
_PATTERNS: Final = (
    (re.compile(r"\b(wk_\w{8})\w+"), r"\1…"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "[token]"),
    (re.compile(r"\bwhsec_[\w+/=-]+"), "[secret]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\"]+"), r"\1 [secret]"),
    (
        re.compile(
            r"(?i)\b(secret|token|password|x-api-key|acknowledge)(['\"]?\s*[=:]\s*['\"]?)[^\s&'\",}]+"
        ),
        r"\1\2[secret]",
    ),
    (re.compile(r"://[^\s/@]+@"), "://[secret]@"),
    (re.compile(r"[^\s@<>\"'(),;=]+@[^\s@<>\"'(),;]+\.\w+"), "[e-mail]"),
    (re.compile(r"\+\d[\d ().-]{5,}\d"), "[phone]"),
    # What Postgres says of a row that it refused: the row.
    (re.compile(r"(DETAIL:).*"), r"\1 [row]"),
)
_PRIVATE_KEY: Final = re.compile(
    r"(?i)pass|secret|token|authorization|cookie|api.?key|e.?mail|phone|guest|notes"
)

Event = MutableMapping[str, Any]


def redacted(text: str) -> str:
    """The text without credentials, addresses and phone numbers."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def surroundings(logger: Any, method: str, event: Event) -> Event:
    """A processor: the request, its trace and who asked, where there is a request."""
    here = context.current_or_none()
    if here:
        event.setdefault("request_id", here.request_id)
        event.setdefault("actor", here.actor or "anonymous")
        event.setdefault("source", here.source)
        if here.traceparent:
            event["trace_id"] = here.traceparent.split("-")[1]
    return event


def redact(logger: Any, method: str, event: Event) -> Event:
    """A processor: nothing secret or personal leaves, whatever was logged."""
    for key, value in event.items():
        if _PRIVATE_KEY.search(key):
            event[key] = "[redacted]"
        elif not isinstance(value, int | float | bool | None):
            event[key] = redacted(value if isinstance(value, str) else str(value))
    return event


def _json(event: Event, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def configuration(level: str, form: str) -> dict[str, Any]:
    """Django's LOGGING. ``form``: json or line."""
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_json)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [
                    structlog.stdlib.add_log_level,
                    structlog.stdlib.add_logger_name,
                    structlog.stdlib.ExtraAdder(allow=EXTRAS),
                ],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    surroundings,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    structlog.processors.format_exc_info,
                    redact,
                    renderer,
                ],
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django.request": {"level": "ERROR"},
            # Django gives it a handler and a form of its own.
            "django.server": {"handlers": ["console"], "level": level, "propagate": False},
        },
    }
