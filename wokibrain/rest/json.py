"""JSON for REST: negotiation, rendering and strict parsing."""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.utils.translation import gettext_lazy as _
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from wokibrain.core.errors import Code, DomainError, PayloadTooLarge, ValidationFailed

GZIP: Final = 16 + zlib.MAX_WBITS
RAW_DEFLATE: Final = -zlib.MAX_WBITS
ENCODINGS: Final = ("gzip", "x-gzip", "deflate")
MAX_EXACT_FLOAT: Final = 2**53
"""Up to here a float that is whole is one whole number only."""


class UnsupportedEncoding(DomainError):
    """The body is encoded in a way that is not read."""

    code = Code.UNSUPPORTED_MEDIA_TYPE
    message = _("Send the body as it is, or with the Content-Encoding gzip or deflate.")
    headers: Mapping[str, str] = MappingProxyType({"Accept-Encoding": "gzip, deflate"})


class Negotiation(DefaultContentNegotiation):
    """DRF's negotiation, with a short cut for the Accept headers that nearly all clients send."""

    def select_renderer(  # type: ignore[override]
        self, request: Request, renderers: Sequence[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        if request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", "application/json"):
            return renderers[0], "application/json"
        return super().select_renderer(request, renderers, format_suffix)  # type: ignore[no-any-return]


class JsonRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        return data if isinstance(data, bytes) else orjson.dumps(data, default=str)


class JsonParser(BaseParser):
    """Strict JSON of at most MAX_BODY_BYTES, decompressed too, nested at most MAX_JSON_DEPTH deep.

    A number that is whole is an int, however it is spelled: to JSON Schema 5.0 is an integer.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            body = stream.read(settings.MAX_BODY_BYTES + 1)
        except RequestDataTooBig as error:
            raise PayloadTooLarge from error
        if len(body) > settings.MAX_BODY_BYTES:
            raise PayloadTooLarge
        if (encoding := _encoding_of(parser_context)) is not None:
            body = decompressed(body, encoding)
        try:
            parsed = orjson.loads(body.removeprefix(BOM_UTF8))
        except orjson.JSONDecodeError as error:
            raise ValidationFailed.at("body", _("The body is not valid JSON.")) from error
        # With at most as many brackets as the limit, the nesting cannot exceed it.
        if body.count(b"[") + body.count(b"{") > settings.MAX_JSON_DEPTH and _too_deep(parsed):
            raise ValidationFailed.at("body", _("The body is nested too deeply."))
        return whole_numbers(parsed)


def _encoding_of(parser_context: Mapping[str, Any] | None) -> str | None:
    """Return the body's encoding; None for none. Raises UnsupportedEncoding."""
    header = parser_context["request"].META.get("HTTP_CONTENT_ENCODING") if parser_context else None
    encoding: str = header.strip().lower() if header else ""
    if encoding in ("", "identity"):
        return None
    if encoding not in ENCODINGS:
        raise UnsupportedEncoding
    return encoding


def decompressed(body: bytes, encoding: str) -> bytes:
    """Return the body without its encoding, one of ENCODINGS.

    Never expands more than MAX_BODY_BYTES: beyond, raises PayloadTooLarge. Raises ValidationFailed if it is damaged.
    """
    limit, plain = settings.MAX_BODY_BYTES, bytearray()
    if encoding == "deflate":
        # By the standard with zlib's header, but some clients leave it out.
        has_header = body[:1] and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
        window_bits = zlib.MAX_WBITS if has_header else RAW_DEFLATE
    else:
        window_bits = GZIP
    try:
        while body:
            expander = zlib.decompressobj(window_bits)
            plain += expander.decompress(body, limit + 1 - len(plain))
            if len(plain) > limit:
                raise PayloadTooLarge
            body = expander.unused_data
            # Only gzip may have several members, one after the other.
            if not expander.eof or (body and window_bits != GZIP):
                raise zlib.error
    except zlib.error as error:
        raise ValidationFailed.at(
            "body", _("The body is damaged or not encoded as its Content-Encoding says.")
        ) from error
    return bytes(plain)


def whole_numbers(parsed: Any) -> Any:
    """Return parsed JSON with each float that is whole as an int; the lists and objects are changed in place."""
    match parsed:
        case float():
            return int(parsed) if parsed.is_integer() and abs(parsed) <= MAX_EXACT_FLOAT else parsed
        case dict():
            for name, value in parsed.items():
                if type(value) in _CHANGEABLE:
                    parsed[name] = whole_numbers(value)
        case list():
            for index, value in enumerate(parsed):
                if type(value) in _CHANGEABLE:
                    parsed[index] = whole_numbers(value)
    return parsed


_CHANGEABLE: Final = frozenset({float, dict, list})


def _too_deep(parsed: Any) -> bool:
    layer, depth = [parsed], 0
    while layer:
        inner: list[Any] = []
        for value in layer:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        layer = [value for value in inner if isinstance(value, dict | list)]
        depth += 1
        if depth > settings.MAX_JSON_DEPTH:
            return True
    return False
