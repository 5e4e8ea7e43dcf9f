"""One source of time-zone rules: the pinned package, whatever the host or the environment of Python offers."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

import pytest

from restaurants.models import ZoneRelease
from tests.deploy.test_requirements import pins
from tests.zones import OLDER, zone_folder
from wokibrain.core import env, zones

WINTER = (
    "from datetime import datetime; from wokibrain.core import clock, zones;"
    "at = datetime(2026, 12, 24, 20, tzinfo=clock.zone('America/Vancouver'));"
    "print(zones.release(), at.isoformat())"
)
NEEDS_UNSHARE = pytest.mark.skipif(shutil.which("unshare") is None, reason="needs Linux's unshare")
HIDE = """
mount --bind /usr/share "$0/share"
mount -t tmpfs none "$0/links"
for entry in "$0"/share/*; do [ "${entry##*/}" = zoneinfo ] || ln -s "$entry" "$0/links/"; done
mount --bind "$0/links" /usr/share
exec "$@"
"""


def python(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=env.ROOT,
        env=os.environ | {"ENVIRONMENT": "test"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@pytest.fixture
def older(tmp_path: Path) -> str:
    return str(zone_folder(tmp_path / "zones", "2025b", OLDER))


def test_the_package_takes_precedence_over_the_hosts_zones(older: str) -> None:
    assert zoneinfo.TZPATH == ()
    assert python(WINTER, PYTHONTZPATH=older) == "2026f 2026-12-24T20:00:00-07:00"


def test_canary_python_alone_reads_the_hosts_zones(older: str) -> None:
    alone = (
        "import zoneinfo, datetime as d; print(d.datetime(2026, 12, 24, 20, tzinfo=zoneinfo.ZoneInfo('{}')))"
    )
    assert python(alone.format("America/Vancouver"), PYTHONTZPATH=older) == "2026-12-24 20:00:00-08:00"


def without_host_zones(tmp_path: Path, code: str) -> str:
    """Return what Python prints where /usr/share/zoneinfo is missing: in a mount namespace, with links to the rest."""
    for name in ("share", "links"):
        (tmp_path / name).mkdir()
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    result = subprocess.run(
        ["unshare", *mapped, "--mount", "sh", "-euc", HIDE, str(tmp_path), sys.executable, "-c", code],
        cwd=env.ROOT,
        env=os.environ | {"ENVIRONMENT": "test", "PYTHONTZPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare:" in result.stderr or "mount:" in result.stderr:
        pytest.skip("needs the right to mount")
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.strip()


@NEEDS_UNSHARE
def test_a_host_needs_no_zone_files(tmp_path: Path) -> None:
    assert without_host_zones(tmp_path, f"import django; django.setup(); {WINTER}") == (
        "2026f 2026-12-24T20:00:00-07:00"
    )


@NEEDS_UNSHARE
def test_canary_there_are_no_zone_files(tmp_path: Path) -> None:
    alone = "import zoneinfo; print(len(zoneinfo.available_timezones() - {'localtime'}))"
    hidden = f"import sys; sys.modules['tzdata'] = None; {alone}"
    assert without_host_zones(tmp_path, hidden) == "0"


def test_the_operators_folder_takes_precedence_over_the_package(older: str) -> None:
    assert python(WINTER, ZONEINFO_DIR=older) == "2025b 2026-12-24T20:00:00-08:00"
    other = WINTER.replace("America/Vancouver", "Europe/Madrid")
    assert python(other, ZONEINFO_DIR=older) == "2025b 2026-12-24T20:00:00+01:00"


def test_the_release_is_that_of_the_pinned_package() -> None:
    assert (zones.release(), pins("requirements.txt")["tzdata"]) == ("2026f", "2026.6")
    pin = next(line for line in (env.ROOT / "requirements.lock").read_text().splitlines() if "tzdata" in line)
    assert pin == "tzdata==2026.6", "on every platform"


@pytest.mark.parametrize("version", [None, "", "two words", "x" * 33])
def test_a_folder_without_a_release_is_refused(tmp_path: Path, version: str | None) -> None:
    if version is not None:
        (tmp_path / "+VERSION").write_text(version)
    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=env.ROOT,
        env=os.environ | {"ENVIRONMENT": "test", "ZONEINFO_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("wokibrain: ZONEINFO_DIR must name a folder of compiled zones")


@pytest.mark.django_db
@pytest.mark.parametrize(("release", "lines"), [(None, 0), ("2026f", 0), ("2025b", 1)])
def test_a_start_with_other_zone_rules_than_the_data_has_is_logged(
    caplog: pytest.LogCaptureFixture, release: str | None, lines: int
) -> None:
    ZoneRelease.objects.all().delete()
    if release:
        ZoneRelease.objects.create(release=release, derived_at=datetime(2026, 1, 1, tzinfo=UTC))
    with caplog.at_level(logging.WARNING, "wokibrain.core.zones"):
        zones.warn_of_difference()
    assert len(caplog.messages) == lines
    assert all("2026f" in line and "2025b" in line for line in caplog.messages)
