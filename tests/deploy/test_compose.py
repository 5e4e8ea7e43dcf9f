"""deploy/compose.yaml as Compose reads it: structure, references, secrets."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from celery.bin.celery import celery
from django.conf import settings
from django.core.management import get_commands, load_command_class

from tests.pipeline import COMMANDS
from wokibrain.core import env
from wokibrain.events import registry
from wokibrain.management.commands import run

FILE = env.ROOT / "deploy" / "compose.yaml"
SECRET = re.compile(r"SECRET|PASSWORD|_KEY$|REDISCLI_AUTH")
INTERPOLATION = re.compile(r"\$(\$|\{[A-Z_]+(:?[-?+][^}]*)?\}|.)")
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "environment", "env_file", "healthcheck", "image", "init", "ports",
    "read_only", "restart", "security_opt", "shm_size", "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}

compose: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
services: dict[str, dict[str, Any]] = compose["services"]
ours = sorted(name for name, service in services.items() if "build" in service)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def test_every_service_of_the_product_is_in_compose() -> None:
    assert set(services) == {
        "postgres",
        "redis",
        "kafka",
        "migrate",
        "web",
        "worker",
        "deliver",
        "relay",
        "consume",
        "beat",
    }
    assert {key for key in compose if not key.startswith("x-")} == {"name", "services", "volumes"}


@pytest.mark.parametrize("name", sorted(services))
def test_services_use_only_keys_that_compose_knows(name: str) -> None:
    service = services[name]
    assert set(service) <= SERVICE_KEYS
    assert isinstance(service["environment"], dict)
    assert all(isinstance(value, str | int) for value in service["environment"].values())
    assert service["restart"] in {"no", "unless-stopped"}
    assert ":" in service["image"]
    assert not service["image"].endswith(":latest")
    if "command" in service:
        assert all(isinstance(part, str) for part in service["command"])


@pytest.mark.parametrize("name", sorted(services))
def test_every_dependency_exists_and_can_become_healthy(name: str) -> None:
    for other, wait in services[name].get("depends_on", {}).items():
        assert wait["condition"] in CONDITIONS
        if wait["condition"] == "service_healthy":
            assert "test" in services[other]["healthcheck"]
        if wait["condition"] == "service_completed_successfully":
            assert services[other]["restart"] == "no"
    for volume in services[name].get("volumes", []):
        assert volume.split(":")[0] in compose["volumes"]


@pytest.mark.parametrize("name", sorted(services))
def test_secrets_have_no_default_and_are_required(name: str) -> None:
    for key, value in services[name]["environment"].items():
        if SECRET.search(key):
            assert re.fullmatch(r"\$\{[A-Z_]+:\?.+\}", str(value)), key
        for password in re.findall(r"://[^:/@]*:(\$\{[^}]*\}|[^@]*)@", str(value)):
            assert password.startswith("${")
            assert ":?" in password


def test_interpolations_are_well_formed() -> None:
    for text in strings(compose):
        for match in INTERPOLATION.finditer(text):
            assert match[0] == "$$" or match[0].startswith("${"), text


@pytest.mark.parametrize("name", ours)
def test_our_containers_run_with_least_privilege(name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["environment"]["ENVIRONMENT"] == "production"
    assert (FILE.parent / service["build"]["context"] / "Dockerfile").resolve() == env.ROOT / "Dockerfile"
    # One image for all: built once, run many times.
    assert service["image"] == services["web"]["image"]


@pytest.mark.parametrize("name", ours)
def test_commands_accept_their_arguments(name: str) -> None:
    match services[name].get("command", ["python", "-m", "wokibrain.serve"]):
        case ["python", "manage.py", command, *arguments]:
            parser = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
            parser.parse_args(arguments)
        case ["celery", "-A", "wokibrain", command, *arguments]:
            parsed = celery.commands[command].make_parser(click.Context(celery)).parse_args(arguments)
            assert parsed[1] == []
        case other:
            assert other == ["python", "-m", "wokibrain.serve"]


def test_consume_reads_every_group() -> None:
    """The command chooses its groups after parsing its arguments, so it has to run."""
    with subprocess.Popen(
        [sys.executable, *services["consume"]["command"][1:]],
        cwd=env.ROOT, env=os.environ | {"KAFKA_BROKERS": "127.0.0.1:1"}, stderr=subprocess.PIPE, text=True,
    ) as consume:  # fmt: skip
        assert consume.stderr is not None
        first = consume.stderr.readline()
        consume.terminate()
        consume.stderr.read()
    groups = ", ".join(registry.groups())
    assert first == f"consume: {groups} from 127.0.0.1:1\n"


def test_only_web_publishes_a_port_and_by_default_on_localhost_only() -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["web"]
    assert services["web"]["ports"] == ["${BIND:-127.0.0.1}:${PORT:-8000}:8000"]


@pytest.mark.parametrize("name", ["relay", "consume"])
def test_compose_runs_the_commands_that_the_proofs_run(name: str) -> None:
    assert services[name]["command"] == ["python", *COMMANDS[name]]


def test_stop_grace_period_covers_requests_in_flight() -> None:
    from wokibrain.serve import GRACE_SECONDS

    assert int(services["web"]["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS


def documented() -> set[str]:
    return set(
        re.findall(r"^#?([A-Z_]+)=", Path(env.ROOT / ".env.example").read_text(encoding="utf-8"), re.M)
    )


def test_settings_passed_to_the_product_are_documented() -> None:
    variables = {key for name in ours for key in services[name]["environment"]}
    assert variables - documented() == set()


FIXED = {"ENVIRONMENT", "DATA_DIR", "HOST", "PORT", "DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS"}
"""What the file knows better than who uses it."""


@pytest.mark.parametrize("name", ours)
def test_every_documented_setting_takes_effect_from_the_env_file(name: str) -> None:
    assert services[name]["env_file"] == [{"path": ".env", "required": False}]
    # Values here override the env file, so they have to be interpolated from it.
    fixed = {
        key
        for key, value in services[name]["environment"].items()
        if not str(value).startswith((f"${{{key}:-", f"${{{key}:?"))
    }
    assert fixed == FIXED
    assert fixed - documented() == set()


def test_the_sweep_has_a_thread_beside_the_senders() -> None:
    command = services["deliver"]["command"]
    threads = int(command[command.index("-c") + 1])
    assert threads == settings.WEBHOOK_PUMPS_MOST + 1
    here = run.DELIVER
    assert int(here[here.index("-c") + 1]) == settings.WEBHOOK_PUMPS + 1
