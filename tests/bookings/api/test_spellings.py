"""What programs really send: one request spelled in many ways, byte order marks, compressed bodies."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from django.conf import settings

from tests.api import Api, Reply, assert_refused
from wokibrain.core.errors import PayloadTooLarge
from wokibrain.rest.json import ENCODINGS, decompressed

INSTANTS = [
    "2025-10-22T20:00:00-03:00", "2025-10-22T23:00:00Z", "2025-10-22t23:00:00z", "2025-10-22T20:00-03:00",
    "2025-10-22T20:00:00-0300", "2025-10-23T00:00:00+01:00", "2025-10-22T23:00:00+00:00", "2025-10-22T23:00:00-00:00",
    "2025-10-23T04:45:00+05:45", "2025-10-23T13:00:00+14:00", "2025-10-23T22:59:00+23:59",
    *(f"2025-10-22T23:00:00.{'0' * digits}Z" for digits in range(1, 10)),
]  # fmt: skip
"""Spellings of one instant."""
BOOKING: dict[str, Any] = {
    "restaurantId": "R1", "sectorId": "S1", "partySize": 4, "durationMinutes": 90, "date": "2025-10-22",
    "start": INSTANTS[0], "tableIds": ["T3"],
}  # fmt: skip
BOM = b"\xef\xbb\xbf"


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


PACKED = [
    ("gzip", gzip.compress), ("GZip", gzip.compress), (" x-gzip ", gzip.compress), ("deflate", zlib.compress),
    ("deflate", raw_deflate), ("identity", bytes),
    ("gzip", lambda content: gzip.compress(content[:20]) + gzip.compress(content[20:])),
]  # fmt: skip


def send(api: Api, raw: bytes, encoding: str | None = None, key: str | None = None) -> Reply:
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    if key:
        headers["Idempotency-Key"] = key
    return api.call("POST", "/woki/bookings", raw=raw, headers=headers)


@pytest.mark.parametrize("start", INSTANTS)
def test_an_instant_in_any_spelling_books_the_same_slot(staff: Api, start: str) -> None:
    reply = staff.book(**(BOOKING | {"start": start}))
    assert (reply.status, reply.body["start"], reply.body["end"]) == (
        201, "2025-10-22T20:00:00-03:00", "2025-10-22T21:30:00-03:00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("2025-10-22T23:00:00.0000000000Z", "Expected an instant with its UTC offset"),
        ("2025-10-22T23:00:00.Z", "Expected an instant with its UTC offset"),
        ("2025-10-22T23:00:00,0Z", "Expected an instant with its UTC offset"),
        ("2025-10-22T23:00:00.000000001Z", "A booking must start on a quarter hour."),
        ("2025-10-22T23:00:00.0000001Z", "A booking must start on a quarter hour."),
        ("0001-01-01T00:00:00+23:59", "Expected a date from 2000-01-01 to 2099-12-31."),
        ("9999-12-31T23:59:00-23:59", "Expected a date from 2000-01-01 to 2099-12-31."),
        # One instant has one range, at whatever offset it is told.
        ("2099-12-31T23:00:00-03:00", "Expected a date from 2000-01-01 to 2099-12-31."),
    ],
)
def test_what_is_no_instant_on_the_grid_is_refused(staff: Api, start: str, message: str) -> None:
    reply = staff.book(**(BOOKING | {"start": start}))
    assert assert_refused(reply, 400, "VALIDATION_ERROR", "start").startswith(f"start: {message}")


@pytest.mark.parametrize("as_of", INSTANTS)
def test_an_instant_in_a_query_may_be_spelled_in_any_way(staff: Api, as_of: str) -> None:
    booked = staff.get("/woki/bookings", restaurantId="R1", date="2025-10-22", asOf=as_of)
    assert (booked.status, booked.body["pagination"]["total"]) == (200, 0)
    assert staff.get("/woki/bookings/B1", asOf="2099-01-01t00:00:00.123456789z").status == 200


@pytest.mark.parametrize("party", ["4", "4.0", "4.000", "4e0", "0.4e1", "40e-1"])
def test_a_whole_number_in_any_spelling_is_an_integer(staff: Api, party: str) -> None:
    raw = json.dumps(BOOKING).replace('"partySize": 4', f'"partySize": {party}').encode()
    reply = send(staff, raw)
    assert (reply.status, reply.body["partySize"]) == (201, 4)


@pytest.mark.parametrize("party", ["4.5", "4.0000000001", "1e300", "-1e300", "9007199254740994.0"])
def test_a_number_that_is_not_whole_or_too_large_is_refused(staff: Api, party: str) -> None:
    raw = json.dumps(BOOKING).replace('"partySize": 4', f'"partySize": {party}').encode()
    assert_refused(send(staff, raw), 400, "VALIDATION_ERROR", "partySize")


def test_a_whole_number_is_one_at_any_depth(staff: Api) -> None:
    for sent in (2.0, 2):
        combos = [{"tableIds": ["T2", "T3"], "capacityMin": sent, "capacityMax": 6.0}]
        reply = staff.patch("/sectors/S1", {"combos": combos})
        assert (reply.status, reply.body["combos"][0]["capacity"]) == (200, {"min": 2, "max": 6})
    reply = staff.patch(
        "/sectors/S1", {"combos": [{"tableIds": ["T2", "T3"], "capacityMin": 2.5, "capacityMax": 6}]}
    )
    assert_refused(reply, 400, "VALIDATION_ERROR", "combos.0.capacityMin")


def test_a_whole_number_in_a_query_may_have_a_fraction_of_zeros(staff: Api) -> None:
    plain, spelled = staff.discover(), staff.discover(partySize="4.0", duration="90.00", limit="10.0")
    assert (spelled.status, spelled.content) == (200, plain.content)
    assert_refused(staff.discover(partySize="4.5"), 400, "VALIDATION_ERROR", "partySize")


SPELLINGS: list[dict[str, Any]] = [
    *({"start": start} for start in INSTANTS),
    {"partySize": 4.0, "durationMinutes": 90.0},
    {"guestName": None, "notes": None, "windowStart": None},
]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
def test_a_repeat_in_another_spelling_is_a_replay(staff: Api, spelling: dict[str, Any]) -> None:
    first = staff.book(**BOOKING, key="k")
    raw = json.dumps(dict(reversed((BOOKING | spelling).items())), indent=1).encode()
    for repeat in (send(staff, raw, key="k"), send(staff, BOM + raw, key="k"),
                   send(staff, gzip.compress(BOM + raw), "gzip", "k")):  # fmt: skip
        assert (repeat.status, repeat.content) == (201, first.content)
        assert repeat.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    "other",
    [
        {"start": "2025-10-22T23:15:00Z"},
        {"start": "2025-10-22T20:00:00Z"},
        {"partySize": 3.0},
        {"guestName": "Ana"},
    ],
    ids=str,
)
def test_another_request_under_the_same_key_is_refused(staff: Api, other: dict[str, Any]) -> None:
    assert staff.book(**BOOKING, key="k").status == 201
    assert_refused(staff.book(**(BOOKING | other), key="k"), 422, "IDEMPOTENCY_KEY_REUSED")


def test_null_and_a_field_left_out_are_different_changes(staff: Api) -> None:
    assert staff.change("B1", partySize=2, guestName="Ana", key="k").status == 200
    assert (
        staff.change("B1", guestName="Ana", partySize=2.0, key="k").headers["Idempotent-Replayed"] == "true"
    )
    assert_refused(staff.change("B1", partySize=2, key="k"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert_refused(staff.change("B1", partySize=2, guestName=None, key="k"), 422, "IDEMPOTENCY_KEY_REUSED")
    assert staff.change("B1", partySize=2, notes="x", key="other").status == 200
    assert_refused(
        staff.change("B1", partySize=2, notes="x", guestName=None, key="other"), 422, "IDEMPOTENCY_KEY_REUSED"
    )


def test_one_byte_order_mark_is_skipped(staff: Api) -> None:
    assert send(staff, BOM + json.dumps(BOOKING).encode()).status == 201
    for raw in (BOM, BOM + BOM + b"{}", b"{}" + BOM, BOM[:2] + b"{}"):
        assert_refused(send(staff, raw), 400, "VALIDATION_ERROR", "body")


@pytest.mark.parametrize(("encoding", "pack"), PACKED)
def test_a_compressed_body_is_read(staff: Api, encoding: str, pack: Any) -> None:
    reply = send(staff, pack(json.dumps(BOOKING).encode()), encoding)
    assert (reply.status, reply.body["tableIds"]) == (201, ["T3"])


@pytest.mark.parametrize(("encoding", "pack"), PACKED)
def test_a_compressed_body_has_the_same_limit_as_a_plain_one(staff: Api, encoding: str, pack: Any) -> None:
    fits = json.dumps(BOOKING).encode().ljust(settings.MAX_BODY_BYTES)
    assert send(staff, pack(fits), encoding).status == 201
    reply = send(staff, pack(fits + b" "), encoding)
    assert assert_refused(reply, 413, "PAYLOAD_TOO_LARGE") == "The request body is too large."


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_expands_a_thousandfold_is_refused(staff: Api, encoding: str) -> None:
    # As large as harmless input gets: 16 MB of blanks in 16 kB.
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    small = pack(b" " * 16_777_216)
    assert len(small) < settings.MAX_BODY_BYTES
    assert_refused(send(staff, small, encoding), 413, "PAYLOAD_TOO_LARGE")
    many = gzip.compress(b" " * 60_000) * 2
    assert_refused(send(staff, many, "gzip"), 413, "PAYLOAD_TOO_LARGE")


def test_the_guard_expands_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the bound the whole body is expanded first: the largest output of one call tells them apart."""
    outputs: list[int] = []

    class Expander:
        def __init__(self, window_bits: int) -> None:
            self.inner = real(window_bits)

        def decompress(self, body: bytes, *bound: int) -> bytes:
            plain: bytes = self.inner.decompress(body, *bound)
            outputs.append(len(plain))
            return plain

    real = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Expander)
    small = gzip.compress(b" " * 4_194_304)
    with pytest.raises(PayloadTooLarge):
        decompressed(small, "gzip")
    assert outputs == [settings.MAX_BODY_BYTES + 1]
    assert len(Expander(31).decompress(small)) == 4_194_304, "the canary"


GOOD = json.dumps(BOOKING).encode()


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        ("gzip", GOOD), ("deflate", GOOD), ("gzip", zlib.compress(GOOD)), ("deflate", gzip.compress(GOOD)),
        ("gzip", gzip.compress(GOOD)[:-1]), ("gzip", gzip.compress(GOOD)[:-9]), ("gzip", gzip.compress(GOOD) + b"x"),
        ("deflate", zlib.compress(GOOD)[:-1]), ("deflate", zlib.compress(GOOD) + b"\x00"), ("gzip", b"\x1f"),
        ("deflate", b"\x78"), ("gzip", bytes(range(256))),
    ],
)  # fmt: skip
def test_a_damaged_compressed_body_is_refused(staff: Api, encoding: str, raw: bytes) -> None:
    detail = assert_refused(send(staff, raw, encoding), 400, "VALIDATION_ERROR", "body")
    assert detail == "The body is damaged or not encoded as its Content-Encoding says."


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip, identity", "utf-8", "ñ"])
def test_another_encoding_is_refused_and_the_possible_ones_named(staff: Api, encoding: str) -> None:
    reply = send(staff, GOOD, encoding)
    assert assert_refused(reply, 415, "UNSUPPORTED_MEDIA_TYPE") == (
        "Send the body as it is, or with the Content-Encoding gzip or deflate."
    )
    assert reply.headers["Accept-Encoding"] == "gzip, deflate"
    assert encoding not in ENCODINGS


def test_every_operation_with_a_body_reads_compressed_ones(staff: Api) -> None:
    raw = gzip.compress(json.dumps({"notes": "Window seat"}).encode())
    reply = staff.call("PATCH", "/woki/bookings/B1", raw=raw, headers={"Content-Encoding": "gzip"})
    assert (reply.status, reply.body["notes"]) == (200, "Window seat")
    raw = zlib.compress(json.dumps({"name": "Sala"}).encode())
    reply = staff.call("PATCH", "/sectors/S1", raw=raw, headers={"Content-Encoding": "deflate"})
    assert (reply.status, reply.body["name"]) == (200, "Sala")
