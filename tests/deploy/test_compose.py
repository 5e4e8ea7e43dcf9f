"""deploy/compose.yaml against what Compose makes of it: structure, references, secrets."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline import COMMANDS
from wokibrain import env

FILE = env.ROOT / "deploy" / "compose.yaml"
SECRET = re.compile(r"SECRET|PASSWORD|_KEY$|REDISCLI_AUTH")
INTERPOLATION = re.compile(r"\$(\$|\{[A-Z_]+(:?[-?+][^}]*)?\}|.)")
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "init", "ports",
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


def test_everything_the_product_is_made_of_is_there() -> None:
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
def test_service_says_only_what_compose_knows(name: str) -> None:
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
def test_what_a_service_waits_for_exists_and_can_become_true(name: str) -> None:
    for other, wait in services[name].get("depends_on", {}).items():
        assert wait["condition"] in CONDITIONS
        if wait["condition"] == "service_healthy":
            assert "test" in services[other]["healthcheck"]
        if wait["condition"] == "service_completed_successfully":
            assert services[other]["restart"] == "no"
    for volume in services[name].get("volumes", []):
        assert volume.split(":")[0] in compose["volumes"]


@pytest.mark.parametrize("name", sorted(services))
def test_secrets_are_never_written_down_and_always_asked_for(name: str) -> None:
    for key, value in services[name]["environment"].items():
        if SECRET.search(key):
            assert re.fullmatch(r"\$\{[A-Z_]+:\?.+\}", str(value)), key
        for password in re.findall(r"://[^:/@]*:(\$\{[^}]*\}|[^@]*)@", str(value)):
            assert password.startswith("${")
            assert ":?" in password


def test_interpolations_are_well_formed() -> None:
    for text in strings(compose):
        for found in INTERPOLATION.finditer(text):
            assert found[0] == "$$" or found[0].startswith("${"), text


@pytest.mark.parametrize("name", ours)
def test_our_processes_run_with_nothing_to_spare(name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["environment"]["ENVIRONMENT"] == "production"
    assert (FILE.parent / service["build"]["context"] / "Dockerfile").resolve() == env.ROOT / "Dockerfile"
    # One image for all: built once, run many times.
    assert service["image"] == services["web"]["image"]


def test_only_web_is_reachable_and_only_from_this_machine_unless_told_otherwise() -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["web"]
    assert services["web"]["ports"] == ["${BIND:-127.0.0.1}:${PORT:-8000}:8000"]


@pytest.mark.parametrize("name", ["relay", "consume"])
def test_what_is_run_is_what_the_proofs_run(name: str) -> None:
    assert services[name]["command"] == ["python", *COMMANDS[name]]


def test_stop_gives_requests_in_flight_their_time() -> None:
    from wokibrain.serve import GRACE_SECONDS

    assert int(services["web"]["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS


def test_settings_given_to_the_product_are_documented() -> None:
    documented = set(
        re.findall(r"^#?([A-Z_]+)=", Path(env.ROOT / ".env.example").read_text(encoding="utf-8"), re.M)
    )
    given = {key for name in ours for key in services[name]["environment"]}
    assert given - documented == set()
