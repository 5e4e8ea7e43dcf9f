"""The bytes are those of JavaScript; Node is asked."""

from __future__ import annotations

import json
import math
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhooks import js_json

NODE = shutil.which("node")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6) | st.integers(0, 2**33).map(str), inner, max_size=5)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1, "b": [True, None, "x"]}, '{"a":1,"b":[true,null,"x"]}'),
        ("ñ €  \x7f/", '"ñ €  \x7f/"'),
        ('"\\\b\f\n\r\t\x00\x1f', '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f"'),
        ("\ud83d\ude00"[:1], '"\\ud83d"'),
        ("😀", '"😀"'),
        ("\ud83d" + "\ude00", '"😀"'),
        ("\ude00" + "\ud83d", '"\\ude00\\ud83d"'),
        (
            {"b": 1, "10": 2, "9": 3, "-1": 4, "01": 5, "4294967295": 6},
            '{"9":3,"10":2,"b":1,"-1":4,"01":5,"4294967295":6}',
        ),
        (
            [1.0, -0.0, 0.1, 1e21, 123456789012345680000.0, 1e-7, 0.000001, 5e-324],
            "[1,0,0.1,1e+21,123456789012345680000,1e-7,0.000001,5e-324]",
        ),
        ([2**53, 2**53 + 1, 10**25, -1.5e-9], "[9007199254740992,9007199254740992,1e+25,-1.5e-9]"),
    ],
)  # fmt: skip
def test_writes_as_javascript_does(value: object, text: str) -> None:
    assert js_json.dumps(value) == text.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_refuses_what_json_has_no_number_for(value: float) -> None:
    with pytest.raises(ValueError, match="no such number"):
        js_json.dumps(value)


def test_refuses_what_json_does_not_have() -> None:
    with pytest.raises(TypeError, match="no set"):
        js_json.dumps({1})


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_node_reads_it_and_writes_the_same_bytes() -> None:
    seen: list[bytes] = []

    @settings(max_examples=300, database=None, deadline=None)
    @given(values)
    def collect(value: object) -> None:
        seen.append(js_json.dumps(value))

    collect()
    assert NODE is not None
    script = (
        "const lines = require('fs').readFileSync(0).toString('latin1').split('\\n');"
        "const again = lines.map(hex => Buffer.from(JSON.stringify(JSON.parse("
        "Buffer.from(hex, 'hex').toString('utf8')))).toString('hex'));"
        "process.stdout.write(again.join('\\n'));"
    )
    output = subprocess.run(
        [NODE, "-e", script],
        input="\n".join(text.hex() for text in seen),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    differing = [text for text, again in zip(seen, output.split("\n"), strict=True) if text.hex() != again]
    assert differing == []
    assert len(seen) >= 300


def test_pythons_own_json_would_not_do() -> None:
    """The canary: what the proof above would find without this module."""
    value = {"b": 1.0, "1": 1e21}
    assert json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() != js_json.dumps(value)
