"""Every field of every endpoint with every kind of invalid value: 400, 404 or 422, and the field is named."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings

from bookings.models import Booking
from restaurants.models import Restaurant, Sector, Table
from tests.api import Api, Reply, api_as, assert_refused, make_restaurant
from wokibrain.events.models import StoredEvent

LONG = "x" * 10_000
NUL = "a\x00b"
HUGE = 10**30
SECRET = {"X-Admin-Secret": settings.ADMIN_SECRET}

Cases = list[tuple[Any, str]]
"""Bad values of a field, and what is named below the field (``.0`` for the first entry of a list)."""


def invalid(*values: Any) -> Cases:
    return [(value, "") for value in values]


# JSON bodies. For required fields null is invalid too; that is added below.
IDENTIFIER = invalid(
    1, True, [], {}, 1.5, "", "x" * 51, LONG, NUL, "a b", "ñ", "-a", "a/b", " R1", "R1\n", "🍽"
)
PARTY = invalid("4", True, [], {}, 4.5, 0, -1, 51, HUGE, -HUGE, "")
DURATION = invalid("90", True, [], {}, 90.5, 0, -30, 14, 20, 91, 1441, 1455, HUGE)
DATE = invalid(
    20251022, True, [], {}, "", "2025-13-01", "2025-02-29", "2025-02-30", "22/10/2025", "2025-10-22T00:00:00",
    "2025-1-2", "20251022", "0000-01-01", "1999-12-31", "2100-01-01", "9999-12-31", " 2025-10-22", "2025-10-22\n",
    "２０２５-10-22", "today", NUL, LONG,
)  # fmt: skip
WALL_TIME = invalid(
    20, True, [], {}, "", "24:00", "20:60", "8:00", "20:00:00", "2000", "20:00Z", "-1:00", " 20:00", "20:00\n",
    "noon", NUL, LONG,
)  # fmt: skip
START = invalid(
    20251022, True, [], {}, "", "2025-10-22T20:00:00", "2025-10-22 20:00:00-03:00", "2025-10-22",
    "2025-10-22T20:07:00-03:00", "2025-10-22T20:00:01-03:00", "2025-10-22T20:00:00.5-03:00",
    "2025-02-30T20:00:00-03:00", "2025-10-22T25:00:00-03:00", "2025-10-22T20:00:00+25:00",
    "1999-12-31T20:00:00-03:00", "2100-01-01T20:00:00-03:00", "2025-10-22T20:00:00 03:00", "now", NUL, LONG,
)  # fmt: skip
TABLE_IDS: Cases = [
    *invalid("T1", 1, True, {}, [], ["T1", "T1"], ["T1", "T2", "T3", "T4", "T5"], ["T"] * 1_000),
    ([1], ".0"), ([None], ".0"), ([""], ".0"), ([NUL], ".0"), ([LONG], ".0"), (["a b"], ".0"), ([["T1"]], ".0"),
    (["T1", 2], ".1"),
]  # fmt: skip
NAME = invalid(1, True, [], {}, "x" * 201, LONG, NUL)
EMAIL = invalid(1, True, [], {}, "x", "a@b", "@b.example", "a@", "a b@c.example", "a@b@c.example", NUL, LONG,
                "a" * 65 + "@b.example", "a@" + "b" * 250 + ".example")  # fmt: skip
PHONE = invalid(1, True, [], {}, "abc", "1234", "+", "1" * 21, "1" * 33, "12345x", "٠١٢٣٤٥", NUL, LONG)
NOTES = invalid(1, True, [], {}, "x" * 1_001, LONG, NUL)
WINDOW = {"windowStart": WALL_TIME, "windowEnd": WALL_TIME}

# Query strings, where everything is text.
QUERY_IDENTIFIER = invalid("", "x" * 51, LONG, NUL, "a b", "ñ", "-a", "a/b", "R1\n")
QUERY_WHOLE = invalid(
    "",
    "x",
    "4.5",
    "4.01",
    "4.",
    ".0",
    "4.0000000000000",
    "1e1",
    "0x4",
    " 4",
    "4 ",
    "４",
    "true",
    "null",
    "[4]",
    str(HUGE),
    NUL,
    LONG,
)
QUERY_DATE = invalid(*(value for value, _ in DATE if isinstance(value, str)))
QUERY_TIME = invalid(*(value for value, _ in WALL_TIME if isinstance(value, str)))


@dataclass(frozen=True)
class Endpoint:
    """An endpoint with a valid input, its required fields, and invalid values of each field."""

    method: str
    path: str
    good: dict[str, Any]
    required: tuple[str, ...]
    fields: dict[str, Cases] = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200

    @property
    def query(self) -> bool:
        return self.method == "GET"

    def send(self, api: Api, values: Any) -> Reply:
        if self.query:
            return api.call(self.method, self.path, query=values, headers=self.headers)
        return api.call(self.method, self.path, values, headers=self.headers)


DISCOVER = Endpoint(
    "GET", "/woki/discover",
    {"restaurantId": "R1", "sectorId": "S1", "date": "2025-10-22", "partySize": "4", "duration": "90"},
    ("restaurantId", "date", "partySize"),
    {
        "restaurantId": QUERY_IDENTIFIER,
        "sectorId": QUERY_IDENTIFIER,
        "date": QUERY_DATE,
        "partySize": QUERY_WHOLE + invalid("0", "-1", "51"),
        "duration": QUERY_WHOLE + invalid("0", "14", "15", "20", "91", "195", "1441", "1455"),
        "windowStart": QUERY_TIME,
        "windowEnd": QUERY_TIME,
        "limit": QUERY_WHOLE + invalid("0", "-1", "51"),
    },
)  # fmt: skip
LIST = Endpoint(
    "GET", "/woki/bookings",
    {"restaurantId": "R1", "sectorId": "S1", "date": "2025-10-22"},
    ("restaurantId", "date"),
    {
        "restaurantId": QUERY_IDENTIFIER,
        "sectorId": QUERY_IDENTIFIER,
        "date": QUERY_DATE,
        "status": invalid("", "confirmed", "OPEN", "CONFIRMED,SEATED", NUL, LONG),
        "page": QUERY_WHOLE + invalid("0", "-1", "10001"),
        "limit": QUERY_WHOLE + invalid("0", "-1", "201"),
    },
)  # fmt: skip
CREATE = Endpoint(
    "POST", "/woki/bookings",
    {"restaurantId": "R1", "sectorId": "S1", "partySize": 4, "durationMinutes": 90, "date": "2025-10-22"},
    ("restaurantId", "partySize", "date"),
    {
        "restaurantId": IDENTIFIER,
        "sectorId": IDENTIFIER,
        "partySize": PARTY,
        "durationMinutes": [*DURATION, *invalid(15, 195)],
        "date": DATE,
        **WINDOW,
        "start": START,
        "tableIds": TABLE_IDS,
        "guestName": NAME,
        "guestEmail": [*EMAIL, *invalid("")],
        "guestPhone": [*PHONE, *invalid("")],
        "notes": NOTES,
    },
    status=201,
)  # fmt: skip
CHANGE = Endpoint(
    "PATCH", "/woki/bookings/B1", {"partySize": 4}, (),
    {name: cases for name, cases in CREATE.fields.items() if name not in ("restaurantId", "guestEmail", "guestPhone")}
    | {"guestEmail": EMAIL, "guestPhone": PHONE},
)  # fmt: skip
SETUP_NAME = invalid(1, True, [], {}, "", "x" * 101, LONG, NUL)
WINDOWS: Cases = [
    *invalid("20:00-23:00", 1, {}, True, [{"start": "20:00", "end": "23:00"}] * 71),
    *invalid([{"start": "20:07", "end": "23:00"}], [{"start": "20:00", "end": "23:00"}] * 2),
    *((bad, ".0") for bad in (["20:00"], [1], [None])),
    *(([{"start": bad, "end": "23:00"}], ".0.start") for bad, _ in WALL_TIME),
    *(([{"start": "20:00", "end": bad}], ".0.end") for bad, _ in WALL_TIME),
    *(([{"start": "20:00", "end": "23:00", "lastSeating": bad}], ".0.lastSeating") for bad, _ in WALL_TIME),
    *(
        ([{"start": "20:00", "end": "23:00", "weekday": bad}], ".0.weekday")
        for bad in (-1, 7, "0", 1.5, HUGE)
    ),
    ([{"end": "23:00"}], ".0.start"),
    ([{"start": "20:00"}], ".0.end"),
    ([{"start": "20:00", "end": "23:00", "day": 1}], ".0.day"),
]
SEATS = invalid("4", True, [], {}, 4.5, 0, -1, 51, HUGE)
MAKE_RESTAURANT = Endpoint(
    "POST", "/admin/restaurants", {"id": "R2", "name": "Two", "timezone": "Europe/Madrid"}, ("name", "timezone"),
    {
        "id": [*IDENTIFIER, *invalid("R1")],
        "name": SETUP_NAME,
        "timezone": invalid(1, True, [], {}, "", "Mars/Olympus", "../etc/passwd", "europe/madrid", "x" * 65, LONG, NUL),
        "windows": WINDOWS,
    },
    SECRET, 201,
)  # fmt: skip
MAKE_SECTOR = Endpoint(
    "POST", "/admin/sectors", {"id": "S2", "restaurantId": "R1", "name": "Two"}, ("restaurantId", "name"),
    {"id": [*IDENTIFIER, *invalid("S1")], "restaurantId": IDENTIFIER, "name": SETUP_NAME},
    SECRET, 201,
)  # fmt: skip
MAKE_TABLE = Endpoint(
    "POST", "/admin/tables", {"id": "T6", "sectorId": "S1", "capacityMin": 2, "capacityMax": 4},
    ("sectorId", "capacityMin", "capacityMax"),
    {
        "id": [*IDENTIFIER, *invalid("T1")],
        "sectorId": IDENTIFIER,
        "name": invalid(1, True, [], {}, "x" * 101, LONG, NUL),
        "capacityMin": SEATS,
        "capacityMax": [*SEATS, *invalid(1)],
        "minSize": [*SEATS, *invalid(3)],
        "maxSize": [*SEATS, *invalid(3)],
    },
    SECRET, 201,
)  # fmt: skip

ENDPOINTS = {
    "discover": DISCOVER, "list": LIST, "create": CREATE, "change": CHANGE,
    "make restaurant": MAKE_RESTAURANT, "make sector": MAKE_SECTOR, "make table": MAKE_TABLE,
}  # fmt: skip
WITH_BODY = {name: endpoint for name, endpoint in ENDPOINTS.items() if not endpoint.query}
MATRIX = [(name, field_) for name, endpoint in ENDPOINTS.items() for field_ in endpoint.fields]


@pytest.fixture
def api(staff: Api) -> Api:
    make_restaurant("H")
    return staff


def rows() -> tuple[int, ...]:
    """Return the number of rows that a bad request could create, and the example booking's version."""
    counts = [model.objects.count() for model in (Booking, Restaurant, Sector, Table, StoredEvent)]
    return (*counts, Booking.objects.get(reference="B1").version)


def issue_paths(reply: Reply) -> list[str]:
    return [issue["path"] for issue in reply.body.get("issues", [])]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_valid_requests_are_accepted(api: Api, name: str) -> None:
    endpoint = ENDPOINTS[name]
    assert endpoint.send(api, endpoint.good).status == endpoint.status


@pytest.mark.parametrize(("name", "field_"), MATRIX, ids=[f"{name}: {field_}" for name, field_ in MATRIX])
def test_a_bad_value_is_refused_and_its_field_named(api: Api, name: str, field_: str) -> None:
    endpoint = ENDPOINTS[name]
    cases = list(endpoint.fields[field_])
    if field_ in endpoint.required and not endpoint.query:
        cases += invalid(None)
    before = rows()
    for value, below in cases:
        reply = endpoint.send(api, endpoint.good | {field_: value})
        case = f"{field_} = {str(value)[:80]!r}: {reply.status} {reply.content[:300]!r}"
        assert reply.status == 400, case
        assert reply.body["error"] == "VALIDATION_ERROR", case
        assert set(issue_paths(reply)) == {field_ + below}, case
        assert reply.body["detail"].strip(), case
        assert len(reply.body["detail"]) < 300, case
    assert rows() == before


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_missing_required_field_is_named(api: Api, name: str) -> None:
    endpoint = ENDPOINTS[name]
    for missing in endpoint.required:
        reply = endpoint.send(api, {key: value for key, value in endpoint.good.items() if key != missing})
        assert assert_refused(reply, 400, "VALIDATION_ERROR", missing) in (
            f"{missing}: This field is required.",
            "This field is required.",
        )


@pytest.mark.parametrize("name", [name for name in ENDPOINTS if ENDPOINTS[name].required])
def test_an_empty_request_names_every_required_field(api: Api, name: str) -> None:
    endpoint = ENDPOINTS[name]
    required = [field_ for field_ in endpoint.required if not field_.startswith("capacity")]
    reply = endpoint.send(api, {})
    assert reply.status == 400
    assert sorted(issue_paths(reply)) == sorted(required)


def test_the_sentence_names_every_invalid_field(api: Api) -> None:
    reply = CREATE.send(api, {"restaurantId": "R1", "partySize": 0, "date": "x"})
    assert assert_refused(reply, 400, "VALIDATION_ERROR", "partySize", "date") == (
        "These fields are not valid: partySize, date."
    )


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize("unknown", ["partysize", "restaurant_id", "__proto__", "", "ñ", "a\x00", "x" * 200])
def test_an_unknown_body_field_is_refused_by_name(api: Api, name: str, unknown: str) -> None:
    endpoint = ENDPOINTS[name]
    reply = endpoint.send(api, endpoint.good | {unknown: 1})
    assert assert_refused(reply, 400, "VALIDATION_ERROR", unknown or "body").endswith("Unknown field.")


@pytest.mark.parametrize("name", ["discover", "list"])
@pytest.mark.parametrize("unknown", ["utm_source", "party_size", "__proto__", "", "ñ", "a\x00", "x" * 200])
def test_an_unknown_query_parameter_is_refused_by_name(api: Api, name: str, unknown: str) -> None:
    endpoint = ENDPOINTS[name]
    reply = endpoint.send(api, endpoint.good | {unknown: "1"})
    assert assert_refused(reply, 400, "VALIDATION_ERROR", unknown or "query").endswith("Unknown parameter.")


def test_unknown_and_invalid_parameters_are_named_together(api: Api) -> None:
    reply = DISCOVER.send(api, DISCOVER.good | {"partySize": "0", "party_size": "4", "Limit": "5"})
    assert_refused(reply, 400, "VALIDATION_ERROR", "partySize", "party_size", "Limit")
    spanish = api.call("GET", "/woki/bookings/B1?x=1", headers={"Accept-Language": "es"})
    assert assert_refused(spanish, 400, "VALIDATION_ERROR", "x") == "x: Parámetro desconocido."


@pytest.mark.parametrize("name", ["discover", "list"])
def test_a_repeated_query_parameter_is_refused(api: Api, name: str) -> None:
    endpoint = ENDPOINTS[name]
    for twice in endpoint.good:
        query = urlencode([*endpoint.good.items(), (twice, endpoint.good[twice])])
        reply = api.call("GET", f"{endpoint.path}?{query}")
        assert (
            assert_refused(reply, 400, "VALIDATION_ERROR", twice)
            == f"{twice}: Send this parameter only once."
        )


@pytest.mark.parametrize("name", ["discover", "create", "change"])
def test_a_window_with_equal_edges_is_refused(api: Api, name: str) -> None:
    endpoint = ENDPOINTS[name]
    reply = endpoint.send(api, endpoint.good | {"windowStart": "20:00", "windowEnd": "20:00"})
    assert assert_refused(reply, 400, "VALIDATION_ERROR", "windowEnd") == (
        "windowEnd: The window must end after it starts."
    )


UNKNOWN = [
    ("discover", "restaurantId", "R9"), ("discover", "sectorId", "S9"), ("discover", "sectorId", "H-S"),
    ("list", "restaurantId", "R9"), ("list", "sectorId", "S9"), ("list", "sectorId", "H-S"),
    ("create", "restaurantId", "R9"), ("create", "sectorId", "S9"), ("create", "sectorId", "H-S"),
    ("create", "tableIds", ["T9"]), ("create", "tableIds", ["H-T"]),
    ("change", "sectorId", "S9"), ("change", "sectorId", "H-S"), ("change", "tableIds", ["T9"]),
    ("change", "tableIds", ["H-T"]), ("make sector", "restaurantId", "R9"), ("make table", "sectorId", "S9"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field_", "value"), UNKNOWN)
def test_unknown_and_foreign_ids_are_not_found_and_named(
    api: Api, name: str, field_: str, value: Any
) -> None:
    before = rows()
    endpoint = ENDPOINTS[name]
    assert_refused(endpoint.send(api, endpoint.good | {field_: value}), 404, "NOT_FOUND", field_)
    assert rows() == before


UNPARSABLE = [
    b"{", b"}", b"not json", b"{'a': 1}", b'{"a": 1,}', b'{"a": NaN}', b'{"a": Infinity}', b"\xff\xfe",
    b"\xef\xbb\xbf\xef\xbb\xbf{}",
    b'{"a": "\xff"}', b'{"a": "\\ud800"}', b'{"a": 1}{"b": 2}', b"[" * 5_000, b'{"a":' * 5_000, b"\x00", b" ",
]  # fmt: skip


@pytest.mark.parametrize("name", WITH_BODY)
def test_a_body_that_is_not_json_is_refused(api: Api, name: str) -> None:
    endpoint = WITH_BODY[name]
    for raw in UNPARSABLE:
        reply = api.call(endpoint.method, endpoint.path, raw=raw, headers=endpoint.headers)
        assert assert_refused(reply, 400, "VALIDATION_ERROR", "body") == "The body is not valid JSON.", raw[
            :40
        ]


@pytest.mark.parametrize("name", WITH_BODY)
def test_json_other_than_an_object_is_refused(api: Api, name: str) -> None:
    endpoint = WITH_BODY[name]
    for raw in (b"[]", b'"x"', b"1", b"true", b"null", b"[{}]"):
        reply = api.call(endpoint.method, endpoint.path, raw=raw, headers=endpoint.headers)
        assert assert_refused(reply, 400, "VALIDATION_ERROR", "body") == "Expected a JSON object.", raw


@pytest.mark.parametrize("name", WITH_BODY)
def test_a_body_that_is_too_large_is_refused(api: Api, name: str) -> None:
    endpoint = WITH_BODY[name]
    for size in (settings.MAX_BODY_BYTES + 1, 3_000_000):
        raw = json.dumps(endpoint.good).encode().ljust(size)
        reply = api.call(endpoint.method, endpoint.path, raw=raw, headers=endpoint.headers)
        assert assert_refused(reply, 413, "PAYLOAD_TOO_LARGE") == "The request body is too large."
    raw = json.dumps(endpoint.good).encode().ljust(settings.MAX_BODY_BYTES)
    assert (
        api.call(endpoint.method, endpoint.path, raw=raw, headers=endpoint.headers).status == endpoint.status
    )


@pytest.mark.parametrize("name", WITH_BODY)
def test_another_content_type_is_refused(api: Api, name: str) -> None:
    endpoint = WITH_BODY[name]
    raw = json.dumps(endpoint.good).encode()
    form = "application/x-www-form-urlencoded"
    for other in ("text/plain", form, "multipart/form-data; boundary=x", "nonsense", ""):
        reply = api.call(
            endpoint.method, endpoint.path, raw=raw, content_type=other, headers=endpoint.headers
        )
        assert assert_refused(reply, 415, "UNSUPPORTED_MEDIA_TYPE") == "Send the body as application/json.", (
            other
        )


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_every_json_content_type_is_accepted(api: Api, content_type: str) -> None:
    raw = json.dumps(CREATE.good).encode()
    assert api.call("POST", CREATE.path, raw=raw, content_type=content_type).status == 201


ROUTES = [
    ("/woki/discover", {"GET"}),
    ("/woki/bookings", {"GET", "POST"}),
    ("/woki/bookings/B1", {"GET", "PATCH", "DELETE"}),
    ("/woki/bookings/B1/seat", {"POST"}),
    ("/woki/bookings/B1/complete", {"POST"}),
    ("/woki/bookings/B1/no-show", {"POST"}),
    ("/admin/seed", {"POST"}),
    ("/admin/info", {"GET"}),
    ("/admin/restaurants", {"POST"}),
    ("/admin/sectors", {"POST"}),
    ("/admin/tables", {"POST"}),
]


@pytest.mark.parametrize(("path", "methods"), ROUTES, ids=[path for path, _ in ROUTES])
def test_an_unsupported_method_is_refused_and_the_allowed_ones_listed(
    api: Api, path: str, methods: set[str]
) -> None:
    before = rows()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - methods:
        reply = api.call(method, path, {}, headers=SECRET)
        assert assert_refused(reply, 405, "METHOD_NOT_ALLOWED") == "This method is not allowed here.", method
        allowed = set(reply.headers["Allow"].split(", "))
        assert allowed - {"HEAD", "OPTIONS"} == methods
    assert rows() == before


@pytest.mark.parametrize(("path", "methods"), ROUTES, ids=[path for path, _ in ROUTES])
def test_a_caller_that_accepts_no_json_is_refused(api: Api, path: str, methods: set[str]) -> None:
    before = rows()
    for method in methods:
        for accept in ("text/html", "application/xml", "image/*", "application/jsonp", "nonsense"):
            reply = api.call(method, path, {}, headers=SECRET | {"Accept": accept})
            assert (
                assert_refused(reply, 406, "NOT_ACCEPTABLE") == "Only application/json is available here."
            ), accept
    assert rows() == before


@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/json", "text/html, */*;q=0.1"])
def test_a_caller_that_accepts_json_among_other_types_is_served(api: Api, accept: str) -> None:
    assert api.call("GET", "/woki/bookings/B1", headers={"Accept": accept}).status == 200


@pytest.mark.parametrize(
    "path",
    ["", "/", "/woki", "/woki/bookings/", "/woki/bookings/B1/", "/woki/bookings/B1/eat", "/nope", "/%00"],
)
def test_an_unknown_path_is_not_found(api: Api, path: str) -> None:
    for method in ("GET", "POST"):
        assert assert_refused(api.call(method, path, {}), 404, "NOT_FOUND") == (
            "Not found, or you do not have access to it."
        )


CREDENTIALS: Iterable[dict[str, str]] = (
    {"X-API-Key": ""}, {"X-API-Key": "nonsense"}, {"X-API-Key": "wk_"}, {"X-API-Key": "wk_" + "x" * 52},
    {"X-API-Key": LONG}, {"X-API-Key": "wk_ñ"}, {"X-API-Key": "wk_\x00"}, {"Authorization": ""},
    {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"},
    {"Authorization": "Bearer wk_unknown"}, {"Authorization": "wk_unknown"},
)  # fmt: skip


@pytest.mark.parametrize("headers", CREDENTIALS, ids=str)
def test_malformed_credentials_are_refused_even_on_public_endpoints(
    guest: Api, headers: dict[str, str]
) -> None:
    reply = guest.call("GET", "/woki/bookings/B1", headers=headers)
    assert assert_refused(reply, 401, "UNAUTHORIZED") == "Valid credentials are required."
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="wokibrain"'


def test_two_credentials_must_agree(guest: Api) -> None:
    one, two = api_as().key, api_as().key
    assert one
    assert two
    agree = guest.call(
        "GET", "/woki/bookings/B1", headers={"X-API-Key": one, "Authorization": f"Bearer {one}"}
    )
    assert agree.status == 200
    differ = guest.call(
        "GET", "/woki/bookings/B1", headers={"X-API-Key": one, "Authorization": f"Bearer {two}"}
    )
    assert_refused(differ, 401, "UNAUTHORIZED")


@pytest.mark.parametrize("name", ["make restaurant", "make sector", "make table"])
@pytest.mark.parametrize("secret", [None, "", "wrong", "ñ", LONG])
def test_set_up_endpoints_need_the_secret(api: Api, name: str, secret: str | None) -> None:
    before = rows()
    endpoint = ENDPOINTS[name]
    headers = {} if secret is None else {"X-Admin-Secret": secret}
    assert_refused(api.call("POST", endpoint.path, endpoint.good, headers=headers), 401, "UNAUTHORIZED")
    assert rows() == before


@pytest.mark.parametrize(
    ("accept_language", "language"),
    [("es", "es"), ("es-AR,es;q=0.9,en;q=0.8", "es"), ("en", "en"), ("de", "en"), ("", "en"), (LONG, "en")],
)
def test_an_error_is_in_the_requested_language_and_its_code_never_changes(
    api: Api, accept_language: str, language: str
) -> None:
    reply = api.call("GET", "/woki/bookings/B9", headers={"Accept-Language": accept_language})
    assert_refused(reply, 404, "NOT_FOUND")
    assert reply.headers["Content-Language"] == language
    assert "Accept-Language" in reply.headers["Vary"]


@pytest.mark.skipif(not (settings.ROOT / "wokibrain" / "locale").is_dir(), reason="no catalogue yet")
def test_an_error_in_spanish_is_spanish_throughout(api: Api) -> None:
    spanish = {"Accept-Language": "es"}
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/woki/bookings/B9", None),
        ("POST", "/woki/bookings", CREATE.good | {"partySize": 51}),
        ("POST", "/woki/bookings", CREATE.good | {"partySize": 17}),
        ("PUT", "/woki/bookings", {}),
    ]
    for method, path, body in calls:
        there, here = api.call(method, path, body, headers=spanish), api.call(method, path, body)
        assert (there.status, there.body["error"]) == (here.status, here.body["error"])
        assert there.body["detail"] != here.body["detail"]
        for issue, other in zip(there.body.get("issues", []), here.body.get("issues", []), strict=True):
            assert issue["path"] == other["path"]
            assert issue["message"] != other["message"]
