"""The AsyncAPI 3.0 document of the live channel, /ws/: asyncapi.yaml, with what the code knows filled in."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from wokibrain.core.errors import Code
from wokibrain.events.types import Topic, event_types


class _Loader(yaml.SafeLoader):
    """A safe loader that fills the tags of asyncapi.yaml."""


def _event_types(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> list[str]:
    topic = Topic(loader.construct_scalar(node))
    return [event_type.name for event_type in event_types(topic)]


_Loader.add_constructor("!event-types", _event_types)
_Loader.add_constructor("!error-codes", lambda _loader, _node: [code.value for code in Code])
_Loader.add_constructor("!version", lambda _loader, _node: settings.VERSION)


def document(host: str = "localhost:8000", *, secure: bool = False) -> dict[str, Any]:
    """Return the document for readers at ``host``, which they reach over TLS if ``secure``."""
    template = _template()
    server = template["servers"]["here"] | {"host": host, "protocol": "wss" if secure else "ws"}
    return template | {"servers": {"here": server}}


def messages(operation: str) -> list[dict[str, Any]]:
    """Return the messages of one operation, in order: of "listen" clients send them, of "tell" the server."""
    template = _template()
    names = [
        reference["$ref"].rpartition("/")[2] for reference in template["operations"][operation]["messages"]
    ]
    return [template["components"]["messages"][name] for name in names]


@cache
def _template() -> dict[str, Any]:
    """Return the document without the server's host, read once per process."""
    template: dict[str, Any] = _Loader(
        Path(__file__).with_name("asyncapi.yaml").read_text()
    ).get_single_data()
    return template
