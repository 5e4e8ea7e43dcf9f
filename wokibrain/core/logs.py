"""Logs: in production a JSON object on each line, with actor, request and trace, and without secrets.

Everything that logs through the standard library passes through here, libraries included. Of a record's extras only
those in EXTRAS are logged, so that no library can log a request with all its headers.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, Final

import orjson
import structlog

from wokibrain.core import context

EXTRAS: Final = frozenset({"actor", "action", "target", "method", "route", "status", "ms"})

# The first eight characters of an API key identify it and are not secret.
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
    # Postgres quotes the whole row that violates a constraint.
    (re.compile(r"(DETAIL:).*"), r"\1 [row]"),
)
_PRIVATE_KEY: Final = re.compile(
    r"(?i)pass|secret|token|authorization|cookie|api.?key|e.?mail|phone|guest|notes"
)

Event = MutableMapping[str, Any]


def redacted(text: str) -> str:
    """Return the text without credentials, e-mail addresses and phone numbers."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def add_context(logger: Any, method: str, event: Event) -> Event:
    """Add the current context to the event: request id, actor, source, trace. A structlog processor."""
    current = context.current_or_none()
    if current:
        event.setdefault("request_id", current.request_id)
        event.setdefault("actor", current.actor or "anonymous")
        event.setdefault("source", current.source)
        if current.traceparent:
            event["trace_id"] = current.traceparent.split("-")[1]
    return event


def redact(logger: Any, method: str, event: Event) -> Event:
    """Remove secrets and personal data from the event. A structlog processor."""
    for key, value in event.items():
        if _PRIVATE_KEY.search(key):
            event[key] = "[redacted]"
        elif not isinstance(value, int | float | bool | None):
            event[key] = redacted(value if isinstance(value, str) else str(value))
    return event


def _json(event: Event, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def configuration(level: str, form: str) -> dict[str, Any]:
    """Return Django's LOGGING; ``form`` is json or line."""
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
                    add_context,
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
            # Replaces the handler and format that Django gives it.
            "django.server": {"handlers": ["console"], "level": level, "propagate": False},
        },
    }
