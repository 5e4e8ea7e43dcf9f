"""JSON for REST: negotiation, rendering and strict parsing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.utils.translation import gettext_lazy as _
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from wokibrain.core.errors import PayloadTooLarge, ValidationFailed


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
    """Strict JSON of at most MAX_BODY_BYTES, nested at most MAX_JSON_DEPTH deep."""

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
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ValidationFailed.at("body", _("The body is not valid JSON.")) from error
        # With at most as many brackets as the limit, the nesting cannot exceed it.
        if body.count(b"[") + body.count(b"{") > settings.MAX_JSON_DEPTH and _too_deep(parsed):
            raise ValidationFailed.at("body", _("The body is nested too deeply."))
        return parsed


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
