"""P19: the server does what its OpenAPI document says, whatever it is sent and by whom."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.processes import Api, Services, api_servers, private_services
from wokibrain import asyncapi
from wokibrain.access.permissions import Role

SEED = int(os.environ.get("FUZZ_SEED", "") or random.randrange(2**32))
ADMIN_SECRET = "a-secret-for-the-set-up-endpoints-in-this-test"
# A well-formed request may be refused for what is in the database, and a repeated delete is INVALID here.
LEFT_OUT = "positive_data_acceptance,use_after_free,ensure_resource_availability"
ROLES = [
    Role.SUPER_ADMIN,
    pytest.param(Role.ADMIN, marks=pytest.mark.slow),
    pytest.param(Role.MANAGER, marks=pytest.mark.slow),
    pytest.param(Role.STAFF, marks=pytest.mark.slow),
    Role.API_CLIENT,
    None,
]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with private_services() as services:
        yield services


@pytest.fixture(scope="module")
def api(services: Services) -> Iterator[Api]:
    manage(services, "seed")
    own = {"ADMIN_SECRET": ADMIN_SECRET, "PUBLIC_PERMISSIONS": "none"}
    with api_servers(1, services=services, environment=own) as api:
        yield api


def manage(services: Services, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments],
        env=dict(os.environ) | services.environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def key_of(services: Services, role: Role) -> str:
    place = [] if role is Role.SUPER_ADMIN else ["--restaurant", "R1"]
    return manage(services, "apikey", "create", role.value, "--role", role.value, *place)


def fuzz(url: str, key: str | None, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Schemathesis over every operation; it fails on the first promise that is broken."""
    headers = ["--header", f"X-API-Key: {key}"] if key else []
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", *headers,
            "--header", f"X-Admin-Secret: {ADMIN_SECRET}", "--checks", "all", "--exclude-checks", LEFT_OUT,
            "--seed", str(SEED), "--no-color", "--generation-database", "none", "--workers", "2", *options,
        ],
        cwd=folder, capture_output=True, text=True, timeout=1_500, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.value if role else "nobody")
def test_made_up_requests_break_no_promise(
    services: Services, api: Api, role: Role | None, tmp_path: Path
) -> None:
    key = key_of(services, role) if role else None
    done = fuzz(api.urls[0], key, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "3")
    assert done.returncode == 0, f"seed {SEED}\n{done.stdout[-6000:]}"


@pytest.mark.slow
def test_two_thousand_requests_and_what_follows_from_them(
    services: Services, api: Api, tmp_path: Path
) -> None:
    for role in (Role.SUPER_ADMIN, Role.MANAGER):
        key = key_of(services, role)
        phases = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "50")
        done = fuzz(api.urls[0], key, tmp_path, *phases)
        assert done.returncode == 0, f"seed {SEED}\n{done.stdout[-6000:]}"


def npm(folder: Path, *packages: str) -> Path:
    """The folder's node_modules with those packages; skips where they cannot be had."""
    tool = shutil.which("npm")
    if not tool:
        pytest.skip("npm is not on this machine")
    modules = folder / "node_modules"
    if not all((modules / each.rpartition("@")[0]).exists() for each in packages):
        done = subprocess.run(
            [tool, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip("npm cannot reach its registry")
    return modules


def test_the_live_document_is_valid(request: pytest.FixtureRequest) -> None:
    modules = npm(request.config.cache.mkdir("npm-asyncapi"), "@asyncapi/specs@6.11.1")
    schema = json.loads((modules / "@asyncapi/specs/schemas/3.0.0-without-$id.json").read_text())
    document = json.loads(json.dumps(asyncapi.document()))
    assert list(jsonschema.Draft7Validator(schema).iter_errors(document)) == []
    del document["channels"]["live"]["messages"]["ping"]
    document["operations"]["tell"]["action"] = "shout"
    assert len(list(jsonschema.Draft7Validator(schema).iter_errors(document))) > 0, "the canary"


def test_the_live_document_holds_together() -> None:
    document = asyncapi.document()

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            for each in node.values():
                yield from references(each)
        elif isinstance(node, list):
            for each in node:
                yield from references(each)

    for reference in references(document):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    for message in document["components"]["messages"].values():
        for shown in message["examples"]:
            jsonschema.validate(shown["payload"], message["payload"])
    assert document["asyncapi"] == "3.0.0"
    assert document["channels"]["live"]["address"] == "/ws/"


def test_the_postman_collection_runs(
    services: Services, api: Api, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    modules = npm(request.config.cache.mkdir("npm-newman"), "newman@6.2.2")
    key = key_of(services, Role.SUPER_ADMIN)
    done = subprocess.run(
        [
            "node", str(modules / "newman/bin/newman.js"), "run", f"{api.urls[0]}/postman.json", "--env-var",
            f"baseUrl={api.urls[0]}", "--env-var", f"apiKey={key}", "--env-var", f"adminSecret={ADMIN_SECRET}",
            "--reporters", "json", "--reporter-json-export", str(tmp_path / "run.json"), "--timeout-request", "10000",
        ],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    ran = json.loads((tmp_path / "run.json").read_text())["run"]
    assert ran["failures"] == []
    answered = {each["response"]["code"] for each in ran["executions"]}
    assert {200, 201, 204} <= answered
    assert 401 not in {
        each["response"]["code"] for each in ran["executions"] if "auth" not in each["request"]["url"]["path"]
    }
