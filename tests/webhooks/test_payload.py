"""A payload's bytes equal those of JavaScript's JSON.stringify, as Node confirms."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhooks import payload
from webhooks.event_types import WebhookEvent

NODE = shutil.which("node")
AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
MADRID = ZoneInfo("Europe/Madrid")
SAFE_INTEGER = 2**53 - 1
INDEX = re.compile(r"0|[1-9][0-9]*", re.ASCII)
EVENT = {
    "id": "01970000-0000-7000-8000-000000000001",
    "blockId": "01970000-0000-7000-8000-000000000002",
    "restaurantId": "R1",
    "sectorId": "S1",
    "tableId": "T2",
    "tableIds": ["T2", "T3"],
    "partySize": 3,
    "start": "2026-05-04T20:30:00+02:00",
    "end": "2026-05-04T21:15:00+02:00",
    "durationMinutes": 45,
    "status": "CONFIRMED",
    "createdAt": "2026-05-01T12:00:00.000+02:00",
    "changes": {
        "partySize": {"to": 3, "from": 2},
        "tableIds": {"from": ["T1"], "to": ["T2", "T3"]},
        "attention": {"from": [], "to": ["tables"]},
        "guestName": {"from": None, "to": None, "redacted": True},
        "guestId": {"from": "a", "to": "b"},
    },
}
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE_INTEGER, SAFE_INTEGER) | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts.filter(lambda key: not INDEX.fullmatch(key)), inner, max_size=5)
    ),
    max_leaves=12,
)
messages = st.dictionaries(st.sampled_from(["event", "data", "timestamp", "id"]), values, min_size=1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "x"], "-1": 4, "01": 5}, '{"b":1,"a":[true,null,"x"],"-1":4,"01":5}'),
        ("ñ € é \x7f/", '"ñ € é \x7f/"'),
        ("\"\\\b\f\n\r\t\x00\x1f'</script>", '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\'</script>"'),
        ("a\u2028b\u2029c\ufeff\u202e", '"a\u2028b\u2029c\ufeff\u202e"'),
        ("😀 👩\u200d🍳", '"😀 👩\u200d🍳"'),
        ([SAFE_INTEGER, -SAFE_INTEGER, 0], "[9007199254740991,-9007199254740991,0]"),
    ],
)
def test_json_is_written_as_javascript_writes_it(value: object, text: str) -> None:
    golden = f'{{"data":{text}}}'.encode()
    assert payload.encode({"data": value}) == golden
    if NODE is not None:
        assert stringified([golden]) == [golden]


@pytest.mark.parametrize("text", ["a\ud83d", "\ud83d\ude00", "\ude00"])
def test_surrogate_that_utf8_cannot_carry_is_refused(text: str) -> None:
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        payload.encode({"data": text})


def test_values_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        payload.encode({"data": float("nan")})
    with pytest.raises(TypeError, match="set"):
        payload.encode({"data": {1}})


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_node_reads_it_and_writes_the_same_bytes() -> None:
    bodies: list[bytes] = []

    @settings(max_examples=300, database=None, deadline=None)
    @given(messages)
    def collect(message: dict[str, Any]) -> None:
        bodies.append(payload.encode(message))

    collect()
    assert stringified(bodies) == bodies
    assert len(bodies) >= 300


@pytest.mark.skipif(NODE is None, reason="needs node")
@pytest.mark.parametrize(("value", "text"), [({"b": 1, "1": 2}, '{"1":2,"b":1}'), ([1.0, 1e21], "[1,1e+21]")])
def test_node_shows_which_values_payloads_must_not_contain(value: object, text: str) -> None:
    """The canary of the proof above: JavaScript and Python write these values differently."""
    ours = payload.encode({"data": value})
    assert stringified([ours]) == [f'{{"data":{text}}}'.encode()] != [ours]


@pytest.mark.parametrize("webhook_event", WebhookEvent)
@pytest.mark.parametrize("origin", ["event", "sample"])
def test_payloads_contain_only_values_that_both_languages_write_alike(
    webhook_event: WebhookEvent, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads: list[Any] = []

    def encode(message: Any) -> bytes:
        payloads.append(message)
        return b""

    monkeypatch.setattr(payload, "encode", encode)
    event_id = UUID(int=1)
    if origin == "event":
        payload.body(webhook_event, EVENT, event_id=event_id, at=AT, zone=MADRID)
    else:
        payload.sample(webhook_event, restaurant_id="R1", event_id=event_id, at=AT, zone=MADRID)
    assert list(payloads[0]) == ["event", "data", "timestamp", "id"]
    assert unlike(payloads[0]) == []


def unlike(value: Any) -> list[Any]:
    """Yield the parts of a payload that JavaScript might write differently."""
    match value:
        case None | bool() | str():
            return []
        case int():
            return [] if abs(value) <= SAFE_INTEGER else [value]
        case dict():
            keys = [key for key in value if type(key) is not str or INDEX.fullmatch(key)]
            return keys + [part for inner in value.values() for part in unlike(inner)]
        case list():
            return [part for inner in value for part in unlike(inner)]
    return [value]


def stringified(texts: list[bytes]) -> list[bytes]:
    """Return each JSON text as Node writes it after parsing it."""
    assert NODE is not None
    script = (
        "const lines = require('fs').readFileSync(0).toString('latin1').split('\\n');"
        "const again = lines.map(hex => Buffer.from(JSON.stringify(JSON.parse("
        "Buffer.from(hex, 'hex').toString('utf8')))).toString('hex'));"
        "process.stdout.write(again.join('\\n'));"
    )
    output = subprocess.run(
        [NODE, "-e", script],
        input="\n".join(text.hex() for text in texts),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [bytes.fromhex(line) for line in output.split("\n")]
