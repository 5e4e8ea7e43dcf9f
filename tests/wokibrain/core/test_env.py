import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from wokibrain.core import env


def test_environment_wins_over_the_file_and_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(env, "_file", {"A_SETTING": "from the file", "ANOTHER": "from the file"})
    monkeypatch.setenv("A_SETTING", "from the environment")
    assert env.text("A_SETTING", "default") == "from the environment"
    assert env.text("ANOTHER", "default") == "from the file"
    assert env.text("A_THIRD", "default") == "default"


def test_an_empty_value_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SETTING", " ")
    assert env.text("A_SETTING", "default") == "default"
    assert env.integer("A_SETTING", 7) == 7
    assert env.items("A_SETTING", ["x"]) == ["x"]


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("1", lambda: env.integer("A_SETTING", 0, minimum=2)),
        ("9", lambda: env.integer("A_SETTING", 0, maximum=8)),
        ("1.5", lambda: env.integer("A_SETTING", 0)),
        ("perhaps", lambda: env.flag("A_SETTING")),
        ("nan", lambda: env.seconds("A_SETTING", 1)),
        ("-1", lambda: env.seconds("A_SETTING", 1)),
        ("soon", lambda: env.seconds("A_SETTING", 1)),
        ("blue", lambda: env.choice("A_SETTING", "red", ("red", "green"))),
    ],
)
def test_bad_value_is_refused_with_the_name_of_the_setting(
    monkeypatch: pytest.MonkeyPatch, raw: str, read: Any
) -> None:
    monkeypatch.setenv("A_SETTING", raw)
    with pytest.raises(ImproperlyConfigured, match="A_SETTING"):
        read()


def test_values_are_parsed_by_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SETTING", "Yes")
    assert env.flag("A_SETTING") is True
    monkeypatch.setenv("A_SETTING", "0")
    assert env.flag("A_SETTING", True) is False
    monkeypatch.setenv("A_SETTING", "a, b,,c ")
    assert env.items("A_SETTING") == ["a", "b", "c"]
    monkeypatch.setenv("A_SETTING", "none")
    assert env.items("A_SETTING", ["a"]) == []
    monkeypatch.setenv("A_SETTING", "0.25")
    assert env.seconds("A_SETTING", 1) == 0.25


def test_file_may_have_comments_quotes_and_export(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# comment\n\nA=1\nexport B='two words'\nC=\"#3=x\"\nD=\n", encoding="utf-8")
    assert env.read_file(file) == {"A": "1", "B": "two words", "C": "#3=x", "D": ""}


def test_invalid_line_of_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nB\n", encoding="utf-8")
    with pytest.raises(ImproperlyConfigured, match="line 2"):
        env.read_file(file)


def test_database_url_by_address_and_by_socket() -> None:
    far = env.database("postgresql://u:p%40ss@db:5433/woki?sslmode=require")
    assert (far["HOST"], far["PORT"], far["USER"], far["PASSWORD"]) == ("db", 5433, "u", "p@ss")
    assert far["OPTIONS"] == {"sslmode": "require"}
    near = env.database("postgresql://woki@/woki?host=/run/pg")
    assert (near["NAME"], near["HOST"], near["OPTIONS"]) == ("woki", "/run/pg", {})
    assert near["ENGINE"] == "django.db.backends.postgresql"


def test_options_in_the_url_win_over_our_defaults() -> None:
    defaults = {"application_name": "ours", "connect_timeout": 2, "options": "-c statement_timeout=15s"}
    plain = env.database("postgresql://u@db/woki", defaults)
    assert plain["OPTIONS"] == defaults
    url = "postgresql://u@db/woki?application_name=desk&connect_timeout=9&options=-c%20work_mem%3D8MB"
    assert env.database(url, defaults)["OPTIONS"] == {
        "application_name": "desk", "connect_timeout": 9,
        "options": "-c statement_timeout=15s -c work_mem=8MB",
    }  # fmt: skip


SHOW = (
    "from django.db import connection; c = connection.cursor(); names = ('application_name', 'statement_timeout', "
    "'idle_in_transaction_session_timeout');"
    "print([c.execute(f'SHOW {name}').fetchone()[0] for name in names])"
)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ("", ["wokibrain", "15s", "1min"]),
        ("application_name=desk&options=-c%20statement_timeout%3D7s", ["desk", "7s", "1min"]),
    ],
)
def test_postgres_gets_the_options_of_the_url(options: str, values: list[str]) -> None:
    url = os.environ["DATABASE_URL"]
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", "shell", "-v", "0", "-c", SHOW],
        cwd=env.ROOT, env=os.environ | {"DATABASE_URL": f"{url}{'&' if '?' in url else '?'}{options}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout == f"{values}\n"


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "postgresql://u:secret@db:port/x", "postgresql://u:secret@db"]
)
def test_bad_database_url_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        env.database(url)
    assert "DATABASE_URL" in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "second", "broker"),
    [
        ("redis://h:1/0", "redis://h:1/2", "redis://h:1/2"),
        ("rediss://:p@h:1", "rediss://:p@h:1/2", "rediss://:p@h:1/2"),
        ("unix:///run/r.sock?db=0", "unix:///run/r.sock?db=2", "redis+socket:///run/r.sock?virtual_host=2"),
    ],
)
def test_other_databases_of_the_same_redis_server(url: str, second: str, broker: str) -> None:
    assert env.redis_database(url, 2) == second
    assert env.celery_broker(url, 2) == broker
    assert env.redis_number(second) == 2
    assert env.redis_number(url) == 0
