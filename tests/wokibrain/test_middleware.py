"""The request log: the cause of server errors, and no lines for successful probes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import Error, connection
from django.test import Client

from wokibrain.postgres import diagnosis

pytestmark = pytest.mark.django_db(transaction=True)
CAUSES = "wokibrain.postgres.diagnosis"
REQUESTS = "wokibrain.requests"


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_logged_at", float("-inf"))


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Point the database at a closed port."""
    with monkeypatch.context() as patch:
        connection.close()
        patch.setitem(connection.settings_dict, "HOST", str(tmp_path))
        yield
    connection.close()


def lines(caplog: pytest.LogCaptureFixture, logger: str) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == logger]


@pytest.mark.parametrize("path", ["/api/v1/woki/bookings/B1", "/health/ready", "/admin/floor/"])
def test_the_cause_of_a_503_is_logged_once_a_second(
    path: str, away: None, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    client.cookies["sessionid"] = "x" * 32
    with caplog.at_level("WARNING"):
        assert [client.get(path).status_code for _ in range(3)] == [503, 503, 503]
    ((level, message),) = lines(caplog, CAUSES)
    assert level == logging.WARNING
    assert message.startswith("a request failed: PostgreSQL does not answer (")
    # A log level that omits successful requests keeps these.
    assert lines(caplog, REQUESTS) == [(logging.ERROR, "request")] * 3


def test_the_logged_cause_contains_no_row_data(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Error) as failed, connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'Ana García' USING ERRCODE = '40P01'; END $$")
    diagnosis.report(failed.value)
    assert lines(caplog, CAUSES) == [(logging.WARNING, "a request failed: Postgres: OperationalError 40P01")]


@pytest.mark.parametrize("root", ["", "/api/v1"])
def test_successful_probes_are_not_logged(root: str, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.LOG_REQUESTS = True
    client = Client()
    with caplog.at_level("INFO", REQUESTS):
        for path in ("/health/live", "/metrics"):
            assert client.get(root + path).status_code == 200
            assert lines(caplog, REQUESTS) == []
        client.post(f"{root}/health/live")
        client.get(f"{root}/health")
    assert lines(caplog, REQUESTS) == [(logging.INFO, "request")] * 2
