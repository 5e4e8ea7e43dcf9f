"""Logs: actor, request id and trace, without secrets or addresses."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest

from wokibrain.core import context, logs

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """Return a logger configured as in production, and its output."""
    out = io.StringIO()
    configuration = logs.configuration("INFO", "json")
    handler = logging.StreamHandler(out)
    formatter: dict[str, Any] = dict(configuration["formatters"]["line"])
    handler.setFormatter(formatter.pop("()")(**formatter))
    logger = logging.getLogger("test.logs")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger, out
    logger.removeHandler(handler)


def line(out: io.StringIO) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return entry


def test_a_log_line_names_the_actor_and_request(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, out = log
    with context.entered(context.Context(request_id="r-1", traceparent=TRACE, source="rest")):
        context.act_as("api_key:7")
        logger.info("did %s", "it", extra={"status": 200, "unknown": "dropped"})
    entry = line(out)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "did it", "level": "info", "logger": "test.logs", "request_id": "r-1", "actor": "api_key:7",
        "source": "rest", "trace_id": "0af7651916cd43dd8448eb211c80319c", "status": 200,
    }  # fmt: skip
    logger.info("after")
    assert "request_id" not in line(out)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key wk_ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz2345 used", "JKLMNPQRST"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJzdWIi"),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("Authorization: Basic YW5hOnNlY3JldA==", "YW5hOnNlY3JldA"),
        ("signed with whsec_abcdef123456", "abcdef123456"),
        ("GET /api/v1/admin/seed?secret=hunter2hunter2&x=1", "hunter2"),
        ("{'password': 'hunter2'}", "hunter2"),
        ("postgresql://app:hunter2@db/x is away", "hunter2"),
        ("mail to Ana.Garcia+x@example.com failed", "Ana.Garcia"),
        ("call +54 11 4000-0000 back", "4000"),
        ('duplicate key\nDETAIL:  Key (name)=(Ana García) already exists.', "García"),
    ],
)  # fmt: skip
def test_logs_omit_secrets_and_addresses(
    log: tuple[logging.Logger, io.StringIO], text: str, secret: str
) -> None:
    logger, out = log
    logger.info(text)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("failed: %s", text)
    assert secret not in out.getvalue()
    assert "ValueError" in line(out)["exception"]


@pytest.mark.parametrize(
    "plain",
    ["booking B7K2QX moved 2025-10-22 20:30", "3 of 4, 12.5 ms", "/api/v1/woki/bookings/<str:booking>"],
)
def test_logs_keep_harmless_values(log: tuple[logging.Logger, io.StringIO], plain: str) -> None:
    logger, out = log
    logger.info(plain)
    assert line(out)["event"] == plain
