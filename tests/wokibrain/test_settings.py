"""Production runs without the embedded servers and imports none of their modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wokibrain.access.test_boot import SAFE
from wokibrain.core import env

LIST_EMBEDDED = (
    "import sys, manage, wokibrain.serve, wokibrain.asgi, wokibrain.celery, wokibrain.management.commands.run;"
    "print(sorted(name for name in sys.modules if name.startswith('wokibrain.embedded')))"
)


def embedded_modules(data_dir: Path, environment: str) -> str:
    """Return the embedded servers' modules that a process in that environment imports."""
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | SAFE
    variables |= {
        "ENVIRONMENT": environment,
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": "wokibrain.settings",
    }
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import django; django.setup(); {LIST_EMBEDDED}"],
        cwd=env.ROOT, env=variables, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_production_imports_nothing_of_the_embedded_servers(tmp_path: Path) -> None:
    assert embedded_modules(tmp_path, "production") == "[]\n"


def test_development_does_import_them(tmp_path: Path) -> None:
    assert "'wokibrain.embedded.postgres'" in embedded_modules(tmp_path, "development")


@pytest.mark.parametrize("command", ["check", "help"])
def test_commands_of_production_start_no_server(tmp_path: Path, command: str) -> None:
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | SAFE
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-X", "importtime", "manage.py", command],
        cwd=env.ROOT, env=variables | {"DATA_DIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "wokibrain.settings" in result.stderr
    assert "wokibrain.embedded" not in result.stderr
