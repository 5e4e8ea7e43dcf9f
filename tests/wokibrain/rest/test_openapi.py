"""The OpenAPI document: valid, complete, and in agreement with the responses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from bookings.sample_data import example
from tests.api import Api, Reply, api_as
from wokibrain.core.clock import frozen
from wokibrain.core.errors import Code
from wokibrain.rest import openapi
from wokibrain.rest.views import STATUS

METHODS = ("get", "put", "post", "patch", "delete")
PAGES = {
    "health", "health/live", "health/ready", "metrics", "docs", "docs/redoc.js", "docs/websockets", "openapi.json",
    "openapi.yaml", "asyncapi.json", "asyncapi.yaml", "postman.json", "ws", "ws/",
}  # fmt: skip
SECRET = {"X-Admin-Secret": settings.ADMIN_SECRET}
ALWAYS = {"400", "406", "429", "500", "503"}
TO_CALLERS = {"401", "403"}
OPEN = {"info": set(), "login": {"401"}, "refresh": {"401"}, "logout": {"401"}}
ADDRESSES = {"restaurantId", "sectorId", "tableIds"}

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def everything(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from everything(value)
    elif isinstance(node, list):
        for value in node:
            yield from everything(value)


def routes(patterns: list[Any] | None = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, prefix + str(entry.pattern))
        elif isinstance(entry, URLPattern):
            yield prefix + str(entry.pattern), entry.callback


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_no_reference_is_missing_and_no_component_unused(document: dict[str, Any]) -> None:
    referred = {node["$ref"] for node in everything(document) if isinstance(node.get("$ref"), str)}
    defined = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert referred == defined


def test_operation_ids_are_unique_names(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][A-Za-z]+", name) for name in names)


def test_every_path_of_the_api_is_documented_with_all_its_methods(document: dict[str, Any]) -> None:
    served = set()
    for route, callback in routes():
        rest = route.removeprefix("api/v1/")
        if not route.startswith("api/v1/") or rest in PAGES:
            continue
        path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
        served |= {(path, method) for method in METHODS if hasattr(callback.view_class, method)}
    assert {(path, method) for path, method, _ in operations(document)} == served


def test_every_operation_has_a_summary_and_description(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert operation["summary"], (path, method)
        assert operation["description"], (path, method)
        assert operation["tags"], (path, method)


def test_every_operation_lists_its_errors(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        here = set(operation["responses"])
        assert here >= ALWAYS, (path, method)
        assert ("requestBody" in operation) == ({"413", "415"} <= here), (path, method)
        for status in here - {"200", "201", "202", "204"}:
            (content,) = operation["responses"][status]["content"].values()
            assert content["schema"] == {"$ref": "#/components/schemas/Error"}
            codes = {entry["value"]["error"] for entry in content["examples"].values()}
            assert codes, (path, method, status)
            assert {str(int(STATUS[Code(code)])) for code in codes} == {status}
            assert all(f"`{code}`" in operation["responses"][status]["description"] for code in codes)


def test_every_operation_lists_unauthorized_and_forbidden(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        name, here = operation["operationId"], set(operation["responses"])
        secret = {"adminSecret": []} in operation.get("security", [])
        due = OPEN.get(name, {"401"} if secret else TO_CALLERS)
        assert here & TO_CALLERS == due, name
        assert (not operation.get("security")) == (name in OPEN), name


def test_every_operation_on_a_resource_lists_not_found(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        name = operation["operationId"]
        body = (
            operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        )
        if "$ref" in body:
            body = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
        names = {parameter["name"] for parameter in operation.get("parameters", [])} | set(
            body.get("properties", {})
        )
        assert ("{" in path or bool(names & ADDRESSES)) == ("404" in operation["responses"]), name


def test_every_success_with_a_body_has_an_example(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        (status,) = [response for response in operation["responses"] if response.startswith("2")]
        content = operation["responses"][status].get("content")
        assert (content is None) == (status == "204"), operation["operationId"]
        if content:
            assert list(content) == ["application/json"]
            assert len(content["application/json"]["examples"]) == 1, operation["operationId"]
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]["application/json"]["examples"]


def test_creating_operations_link_to_the_operations_on_the_new_resource(document: dict[str, Any]) -> None:
    by_name = {operation["operationId"]: (path, operation) for path, _, operation in operations(document)}
    for maker, parameter in (
        ("createBooking", "booking"), ("createRestaurant", "restaurant"), ("createSector", "sector"),
        ("createTable", "table"), ("createWebhook", "webhook"), ("testWebhook", "delivery"),
    ):  # fmt: skip
        answers = by_name[maker][1]["responses"]
        (links,) = [answer["links"] for status, answer in answers.items() if status.startswith("2")]
        on_it = {name for name, (path, _) in by_name.items() if f"{{{parameter}}}" in path}
        if parameter == "webhook":
            on_it.remove("redeliver")
        assert set(links) == on_it
        for name, link in links.items():
            assert link["operationId"] == name
            assert link["parameters"][parameter] == "$response.body#/id"
            assert {f"{{{field}}}" for field in link["parameters"]} == set(
                re.findall(r"{\w+}", by_name[name][0])
            )


REFUSALS = {
    "discoverTables": {"NOT_FOUND", "NO_CAPACITY", "OUTSIDE_SERVICE_WINDOW"},
    "listBookings": {"NOT_FOUND"},
    "getBooking": {"NOT_FOUND"},
    "createBooking": {
        "NOT_FOUND", "NO_CAPACITY", "CONFLICT", "OUTSIDE_SERVICE_WINDOW", "IDEMPOTENCY_IN_PROGRESS",
        "IDEMPOTENCY_KEY_REUSED",
    },
    "changeBooking": {
        "NOT_FOUND", "NO_CAPACITY", "CONFLICT", "OUTSIDE_SERVICE_WINDOW", "ALREADY_CANCELLED",
        "INVALID_TRANSITION", "IDEMPOTENCY_IN_PROGRESS", "IDEMPOTENCY_KEY_REUSED",
    },
    "cancelBooking": {
        "NOT_FOUND", "ALREADY_CANCELLED", "INVALID_TRANSITION", "CONFLICT", "IDEMPOTENCY_IN_PROGRESS",
        "IDEMPOTENCY_KEY_REUSED",
    },
    "seatBooking": {
        "NOT_FOUND", "INVALID_TRANSITION", "CONFLICT", "IDEMPOTENCY_IN_PROGRESS", "IDEMPOTENCY_KEY_REUSED",
    },
}  # fmt: skip
REFUSALS |= {"completeBooking": REFUSALS["seatBooking"], "markNoShow": REFUSALS["seatBooking"]}


def test_the_booking_operations_list_the_contracts_errors(document: dict[str, Any]) -> None:
    by_name = {operation["operationId"]: operation for _, _, operation in operations(document)}
    for name, expected in REFUSALS.items():
        codes = {
            entry["value"]["error"]
            for status, response in by_name[name]["responses"].items()
            if status in ("404", "409", "422")
            for entry in response["content"]["application/json"]["examples"].values()
        }
        assert codes == expected, name


def test_every_body_and_response_has_an_example_that_fits_its_schema(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        contents = [response.get("content", {}) for response in operation["responses"].values()]
        contents.append(operation.get("requestBody", {}).get("content", {}))
        for content in contents:
            for media in content.values():
                assert media["examples"], (path, method)
                for entry in media["examples"].values():
                    assert problems(document, media["schema"], entry["value"]) == [], (path, method)
        for parameter in operation.get("parameters", []):
            assert problems(document, {}, parameter["schema"]) == []
            Draft202012Validator.check_schema(parameter["schema"])
            assert set(parameter["schema"]) <= {
                "type", "format", "pattern", "enum", "default", "examples", "minLength", "maxLength", "minimum",
                "maximum", "multipleOf",
            }, parameter  # fmt: skip


def untrue_defaults(document: dict[str, Any]) -> list[str]:
    """Return the request fields with a default that a client must not send: null, and any at all in a PATCH."""
    schemas = document["components"]["schemas"]
    untrue = []
    for _, method, operation in operations(document):
        body = (
            operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        )
        fields = {each["name"]: each["schema"] for each in operation.get("parameters", [])}
        fields |= schemas[body["$ref"].rpartition("/")[2]]["properties"] if body else {}
        for name, field in fields.items():
            nulls = [node for node in everything(field) if node.get("default", "") is None]
            if nulls or (method == "patch" and "default" in field):
                untrue.append(f"{operation['operationId']}: {name}")
    return untrue + [
        name
        for name, schema in schemas.items()
        for node in everything(schema)
        if "default" in node and node["default"] is None
    ]


def test_no_default_makes_a_client_send_what_its_user_left_out(document: dict[str, Any]) -> None:
    assert untrue_defaults(document) == []
    wrong = deepcopy(document)
    schemas = wrong["components"]["schemas"]
    schemas["PatchedChangeBody"]["properties"]["guestName"]["default"] = None
    schemas["PatchedSectorPatch"]["properties"]["position"]["default"] = 0
    schemas["WindowBody"]["properties"]["lastSeating"]["default"] = None
    assert set(untrue_defaults(wrong)) == {
        "changeBooking: guestName", "changeSector: position", "PatchedChangeBody", "WindowBody",
    }, "the canary"  # fmt: skip


def test_a_patch_requires_nothing(document: dict[str, Any]) -> None:
    for _, method, operation in operations(document):
        if method == "patch":
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            assert "required" not in document["components"]["schemas"][reference.rpartition("/")[2]]


def colliding_names(document: dict[str, Any]) -> set[str]:
    """Return the schemas whose name a generator for Go, or a file system, takes for something else too."""
    names = list(document["components"]["schemas"])
    beside = {
        made
        for name in names
        for made in (f"New{name}", f"New{name}WithDefaults", f"Nullable{name}", f"NewNullable{name}")
    }
    for _, _, operation in operations(document):
        title = operation["operationId"][0].upper() + operation["operationId"][1:]
        beside |= {f"{title}{end}" for end in ("Params", "JSONBody", "JSONRequestBody", "Response")}
        beside |= {
            f"Api{title}Request",
            f"New{title}Request",
            f"New{title}RequestWithBody",
            f"{title}Request",
        }
    folded = Counter(name.lower() for name in names)
    return beside & set(names) | {name for name in names if folded[name.lower()] > 1}


def test_schema_names_do_not_collide_in_generated_clients(document: dict[str, Any]) -> None:
    assert colliding_names(document) == set()
    wrong = deepcopy(document)
    wrong["components"]["schemas"] |= {"SectorBody": {}, "Bookingout": {}, "CreateBookingParams": {}}
    assert colliding_names(wrong) == {"NewSectorBody", "BookingOut", "Bookingout", "CreateBookingParams"}, (
        "the canary"
    )


def test_limits_of_query_parameters_are_documented(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/api/v1/woki/discover"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert {name for name, parameter in by_name.items() if parameter.get("required")} == {
        "restaurantId",
        "date",
        "partySize",
    }
    bounds = {key: by_name["duration"]["schema"][key] for key in ("minimum", "maximum", "multipleOf")}
    assert bounds == {"minimum": 15, "maximum": 1440, "multipleOf": 15}
    assert (by_name["limit"]["schema"]["default"], by_name["limit"]["schema"]["maximum"]) == (10, 50)


def test_either_credential_alone_suffices(document: dict[str, Any]) -> None:
    assert document["paths"]["/api/v1/woki/bookings"]["post"]["security"] == [
        {"apiKey": []},
        {"bearer": []},
        {},
    ]
    assert document["paths"]["/api/v1/admin/seed"]["post"]["security"] == [{"adminSecret": []}]
    used = {
        name
        for _, _, operation in operations(document)
        for one in operation.get("security", [])
        for name in one
    }
    assert used <= set(document["components"]["securitySchemes"])


def problems(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """Return the errors of ``value`` by a schema of the document; an unknown property is an error too."""
    whole = {"components": strict(document["components"]), **strict(schema)}
    validator = Draft202012Validator(whole, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def strict(node: Any) -> Any:
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: strict(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


WALK: list[tuple[str, str, Any, int]] = [
    ("GET", "/admin/info", None, 200),
    ("POST", "/admin/seed", None, 200),
    ("POST", "/admin/restaurants", {"id": "R2", "name": "Two", "timezone": "Europe/Madrid"}, 201),
    ("POST", "/admin/sectors", {"id": "S2", "restaurantId": "R2", "name": "Sala"}, 201),
    ("POST", "/admin/tables", {"id": "T9", "sectorId": "S2", "minSize": 2, "maxSize": 4}, 201),
    ("GET", "/woki/discover?restaurantId=R1&date=2025-10-22&partySize=4&duration=90", None, 200),
    ("GET", "/woki/discover?restaurantId=R1&date=2025-10-22&partySize=40&duration=90", None, 409),
    ("GET", "/woki/discover?restaurantId=R9&date=2025-10-22&partySize=4&duration=90", None, 404),
    ("GET", "/woki/discover", None, 400),
    ("POST", "/woki/bookings", {"restaurantId": "R1", "date": "2025-10-22", "partySize": 4, "durationMinutes": 90,
                                "guestName": "Ana", "guestEmail": "ana@example.com", "notes": "x"}, 201),
    ("POST", "/woki/bookings", {"restaurantId": "R1", "date": "2025-10-22", "partySize": 4, "durationMinutes": 90,
                                "start": "2025-10-22T17:00:00-03:00"}, 422),
    ("POST", "/woki/bookings", {"restaurantId": "R1"}, 400),
    ("GET", "/woki/bookings?restaurantId=R1&date=2025-10-22", None, 200),
    ("GET", "/woki/bookings?restaurantId=R1&date=2025-10-22&status=X", None, 400),
    ("GET", "/woki/bookings/B1", None, 200),
    ("GET", "/woki/bookings/B1?asOf=2099-01-01T00:00:00Z", None, 200),
    ("GET", "/woki/bookings/B1/history", None, 200),
    ("GET", "/woki/bookings/B9", None, 404),
    ("PATCH", "/woki/bookings/B1", {"partySize": 5, "guestName": "Ana"}, 200),
    ("PATCH", "/woki/bookings/B1", {"partySize": 40}, 409),
    ("POST", "/woki/bookings/B1/no-show", None, 200),
    ("POST", "/woki/bookings/B1/seat", None, 200),
    ("POST", "/woki/bookings/B1/complete", None, 200),
    ("POST", "/woki/bookings/B1/complete", None, 409),
    ("POST", "/woki/bookings/B1/reopen", None, 200),
    ("DELETE", "/woki/bookings/{reference}", None, 204),
    ("DELETE", "/woki/bookings/{reference}", None, 409),
]  # fmt: skip


@pytest.mark.django_db
def test_responses_match_their_documentation(document: dict[str, Any]) -> None:
    example.example()
    api = api_as()
    reference, walked = "", set()
    for method, path, body, status in WALK:
        # In the example's evening, when its party may be seated.
        with frozen(datetime(2025, 10, 22, 23, 30, tzinfo=UTC)):
            reply = api.call(method, path.replace("{reference}", reference), body, headers=SECRET)
        assert reply.status == status, (method, path, reply.body)
        template = "/api/v1" + re.sub(r"/bookings/[^/?]+", "/bookings/{booking}", path).partition("?")[0]
        operation = document["paths"][template][method.lower()]
        walked.add(operation["operationId"])
        assert_documented(document, operation, reply)
        if (method, status) == ("POST", 201) and "reference" in reply.body:
            reference = reply.body["reference"]
    core = {
        operation["operationId"]
        for _, _, operation in operations(document)
        if set(operation["tags"]) & {"bookings", "set-up"}
    }
    assert walked >= core


def assert_documented(document: dict[str, Any], operation: dict[str, Any], reply: Reply) -> None:
    response = operation["responses"][str(reply.status)]
    if "content" not in response:
        assert reply.content == b""
        return
    assert reply.headers["Content-Type"] in response["content"]
    assert problems(document, response["content"]["application/json"]["schema"], reply.body) == []


@pytest.mark.django_db
def test_every_operation_refuses_unknown_parameters_by_name(document: dict[str, Any]) -> None:
    example.example()
    api = api_as()
    for path, method, operation in operations(document):
        route = re.sub(r"{\w+}", "R1", path).removeprefix("/api/v1")
        body: dict[str, Any] | None = {} if "requestBody" in operation else None
        reply = api.call(method.upper(), f"{route}?partysize=9", body, headers=SECRET)
        named = [issue["path"] for issue in reply.body.get("issues", [])]
        assert (reply.status, reply.body["error"]) == (400, "VALIDATION_ERROR"), operation["operationId"]
        assert "partysize" in named, operation["operationId"]


@pytest.mark.django_db
def test_json_and_yaml_documents_are_equal() -> None:
    import yaml

    as_json = Api().get("/openapi.json")
    as_yaml = Api().get("/openapi.yaml")
    assert as_json.headers["Content-Type"] == "application/json"
    assert as_yaml.headers["Content-Type"] == "application/yaml; charset=utf-8"
    assert yaml.safe_load(as_yaml.content) == as_json.body


def test_configurable_periods_are_documented_as_defaults(document: dict[str, Any]) -> None:
    fixed = [
        sentence
        for path, _, operation in operations(document)
        if path.startswith("/api/v1/webhooks")
        for sentence in re.split(r"[.;] ", operation.get("description", ""))
        if re.search(r"\d+ (hour|day)s", sentence) and "by default" not in sentence
    ]
    assert fixed == []
