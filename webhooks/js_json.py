"""JSON exactly as JavaScript writes it.

A receiver that has lost the raw body and signs ``JSON.stringify(JSON.parse(body))`` instead must get
the same bytes. So: no spaces, nothing escaped that need not be, lone surrogates escaped, numbers in
JavaScript's spelling, and keys that look like array indices first, because its objects sort them so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, Final

SAFE_INTEGER: Final = 2**53
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
_LARGEST_INDEX: Final = 2**32 - 2


def dumps(value: Any) -> bytes:
    """``value`` (dict, list, tuple, str, int, float, bool, None) as JavaScript's bytes, in UTF-8.

    Raises ValueError for a number that is not finite, TypeError for anything JSON does not have.
    """
    return _text(value).encode()


def _text(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int():
            return str(value) if -SAFE_INTEGER <= value <= SAFE_INTEGER else number(float(value))
        case float():
            return number(value)
        case Mapping():
            return "{" + ",".join(f"{_string(key)}:{_text(value[key])}" for key in _ordered(value)) + "}"
        case Sequence():
            return "[" + ",".join(_text(each) for each in value) + "]"
    raise TypeError(f"JSON has no {type(value).__name__}")


def _string(text: str) -> str:
    if _SURROGATE.search(text):
        # Two halves that stand side by side are one character to JavaScript.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _ordered(mapping: Mapping[str, Any]) -> list[str]:
    keys = list(mapping)
    indices = [key for key in keys if _INDEX.fullmatch(key) and int(key) <= _LARGEST_INDEX]
    if not indices:
        return keys
    return sorted(indices, key=int) + [key for key in keys if key not in set(indices)]


def number(value: float) -> str:
    """A number as ECMAScript's Number::toString has it: shortest digits, exponents from 1e21 and 1e-7 on."""
    if not isfinite(value):
        raise ValueError("JSON has no such number")
    if value == 0:
        return "0"
    sign, figures, exponent = Decimal(repr(value)).as_tuple()
    digits = "".join(map(str, figures)).rstrip("0")
    # Where the decimal point stands, counted from the first digit.
    point = len(figures) + int(exponent)
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    return f"-{text}" if sign else text
