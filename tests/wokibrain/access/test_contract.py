"""P19: the server conforms to its OpenAPI document for any request of any caller."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bookings.live import asyncapi
from tests.processes import Api, Services, api_servers, manage, private_services
from wokibrain.core.permissions import Role
from wokibrain.rest import openapi

SEED = int(os.environ.get("FUZZ_SEED", "") or random.randrange(2**32))
ADMIN_SECRET = "a-secret-for-the-set-up-endpoints-in-this-test"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
CASES = 2_000
# An anonymous caller has no secret either; only public operations remain.
OPEN = {"api/v1/admin/info"}
# Coverage would also measure the tool, which is not our code.
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
ROLES = [*Role, None]
SHORT = [Role.SUPER_ADMIN, Role.API_CLIENT, None]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with private_services() as services:
        yield services


@contextmanager
def serving(services: Services) -> Iterator[Api]:
    """Serve the example restaurants; all callers need credentials."""
    manage("seed", environment=services.environment)
    own = {"ADMIN_SECRET": ADMIN_SECRET, "PUBLIC_PERMISSIONS": "none"}
    with api_servers(1, services=services, environment=own) as api:
        yield api


@pytest.fixture(scope="module")
def api(services: Services) -> Iterator[Api]:
    with serving(services) as api:
        yield api


@pytest.fixture
def fresh() -> Iterator[tuple[Services, Api]]:
    """Reset the data, so that no earlier test has deleted or deactivated anything."""
    with private_services() as services, serving(services) as api:
        yield services, api


def key_of(services: Services, role: Role) -> str:
    place = [] if role is Role.SUPER_ADMIN else ["--restaurant", "R1"]
    output = manage("apikey", "create", role, "--role", role, *place, environment=services.environment)
    return output.strip()


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """Schemathesis's report, and the requests that the server counted, by method, route and status."""

    report: dict[str, Any]
    requests: Counter[tuple[str, str, str]]

    def routes(self, status: str) -> set[str]:
        """Return the documented operations' routes with responses of a class such as "2xx"."""
        return {
            route
            for (method, route, code), count in self.requests.items()
            if count and code[0] == status[0] and method != "OPTIONS" and route.startswith("api/v1/")
        }


def fuzz(
    services: Services, url: str, role: Role | None, folder: Path, *options: str, set_up: bool = True
) -> Fuzzed:
    """Run Schemathesis over every operation with all checks; fail with its findings.

    ``set_up``: whether it has the secret of the set-up endpoints; an anonymous caller never has.
    """
    headers = []
    if role is not None:
        headers += ["--header", f"X-API-Key: {key_of(services, role)}"]
        headers += ["--header", f"X-Admin-Secret: {ADMIN_SECRET}"] if set_up else []
    before = request_counts(url)
    result = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIGURATION),
            "run", f"{url}/openapi.json", *headers, "--seed", str(SEED), "--no-color",
            "--generation-database", "none", "--report", "json", "--report-json-path",
            str(folder / "report.json"), *options,
        ],
        cwd=folder, env=UNMEASURED, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert result.returncode == 0, f"seed {SEED}\n{result.stdout[-6000:]}"
    return Fuzzed(json.loads((folder / "report.json").read_text()), request_counts(url) - before)


def request_counts(url: str) -> Counter[tuple[str, str, str]]:
    """Return the server's own count of requests."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    samples = [
        sample for family in families for sample in family.samples if sample.name == "http_requests_total"
    ]
    return Counter(
        {
            (sample.labels["method"], sample.labels["route"], sample.labels["status"]): int(sample.value)
            for sample in samples
        }
    )


def assert_promises_kept(fuzzed: Fuzzed, role: Role | None) -> None:
    assert fuzzed.report["errors"] == []
    assert fuzzed.report["operations"]["tested"] == len(list(operations()))
    assert fuzzed.routes("5xx") == set()
    if role is None:
        assert fuzzed.routes("2xx") == OPEN


def operations() -> Iterator[str]:
    for item in openapi.document()["paths"].values():
        yield from (operation["operationId"] for operation in item.values())


@pytest.mark.parametrize("role", SHORT, ids=lambda role: role or "nobody")
def test_generated_requests_break_no_promise(
    services: Services, api: Api, role: Role | None, tmp_path: Path
) -> None:
    phases = ("--phases", "examples,fuzzing", "--max-examples", "3", "--workers", "2")
    assert_promises_kept(fuzz(services, api.urls[0], role, tmp_path, *phases), role)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES, ids=lambda role: role or "nobody")
def test_two_thousand_requests_break_no_promise(
    fresh: tuple[Services, Api], role: Role | None, tmp_path: Path
) -> None:
    services, api = fresh
    phases = ("--phases", "examples,coverage,fuzzing", "--max-examples", "60", "--workers", "2")
    fuzzed = fuzz(services, api.urls[0], role, tmp_path, *phases)
    print(f"{role or 'nobody'}: {fuzzed.report['test_cases']['generated']} cases")
    assert_promises_kept(fuzzed, role)
    assert fuzzed.report["test_cases"]["generated"] >= CASES


BOOKING = "api/v1/woki/bookings/<str:booking>"
CHAINS = [
    (
        Role.SUPER_ADMIN,
        "bookings",
        {BOOKING, *(f"{BOOKING}/{step}" for step in ("seat", "no-show", "history"))},
    ),
    (
        Role.SUPER_ADMIN,
        "management",
        {
            "api/v1/restaurants/<str:restaurant>/sectors",
            "api/v1/sectors/<str:sector>",
            "api/v1/tables/<str:table>",
        },
    ),
    (
        Role.SUPER_ADMIN,
        "webhooks",
        {
            f"api/v1/webhooks/<str:webhook>/{rest}"
            for rest in ("rotate-secret", "test", "deliveries/<str:delivery>/redeliver")
        },
    ),
    (Role.ADMIN, None, {BOOKING}),
    (Role.MANAGER, None, {BOOKING, f"{BOOKING}/seat"}),
    (Role.STAFF, None, {BOOKING, f"{BOOKING}/seat"}),
    (Role.API_CLIENT, None, {BOOKING}),
]
"""Who, among the operations of which tag, and where their chains of requests must have got to."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("role", "tag", "reached"), CHAINS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_linked_requests_break_no_promise(
    fresh: tuple[Services, Api], role: Role, tag: str | None, reached: set[str], tmp_path: Path
) -> None:
    services, api = fresh
    phases = ["--phases", "stateful", "--max-examples", "100", "--workers", "1"]
    phases += ["--include-tag", tag] if tag else []
    # A row deleted by one request and created again by another looks to the tool as if it had never been deleted.
    fuzzed = fuzz(services, api.urls[0], role, tmp_path, *phases, set_up=False)
    print(f"{role} {tag or 'all'}: {fuzzed.report['test_cases']['generated']} cases in chains")
    assert fuzzed.report["errors"] == []
    assert fuzzed.routes("5xx") == set()
    assert reached - fuzzed.routes("2xx") == set()


def npm(folder: Path, *packages: str) -> Path:
    """Return the folder's node_modules with those packages; skip the test if npm cannot install them."""
    tool = shutil.which("npm")
    if not tool:
        pytest.skip("npm is not on this machine")
    modules = folder / "node_modules"
    if not all((modules / package.rpartition("@")[0]).exists() for package in packages):
        result = subprocess.run(
            [tool, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        if result.returncode:
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


def test_the_live_document_is_consistent() -> None:
    document = asyncapi.document()

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            for child in node.values():
                yield from references(child)
        elif isinstance(node, list):
            for child in node:
                yield from references(child)

    for reference in references(document):
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    for message in document["components"]["messages"].values():
        for example in message["examples"]:
            jsonschema.validate(example["payload"], message["payload"])
    assert document["asyncapi"] == "3.0.0"
    assert document["channels"]["live"]["address"] == "/ws/"


def test_the_postman_collection_runs(
    services: Services, api: Api, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    modules = npm(request.config.cache.mkdir("npm-newman"), "newman@6.2.2")
    key = key_of(services, Role.SUPER_ADMIN)
    result = subprocess.run(
        [
            "node", str(modules / "newman/bin/newman.js"), "run", f"{api.urls[0]}/postman.json", "--env-var",
            f"baseUrl={api.urls[0]}", "--env-var", f"apiKey={key}", "--env-var", f"adminSecret={ADMIN_SECRET}",
            "--reporters", "json", "--reporter-json-export", str(tmp_path / "run.json"), "--timeout-request", "10000",
        ],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    ran = json.loads((tmp_path / "run.json").read_text())["run"]
    assert ran["failures"] == []
    codes = {execution["response"]["code"] for execution in ran["executions"]}
    assert {200, 201, 204} <= codes
    assert 401 not in {
        execution["response"]["code"]
        for execution in ran["executions"]
        if "auth" not in execution["request"]["url"]["path"]
    }
