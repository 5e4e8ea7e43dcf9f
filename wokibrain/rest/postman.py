"""A Postman collection (v2.1) generated from the OpenAPI document: each operation with an example and a test.

Postman can import the OpenAPI document itself, but not with variables for credentials and ids, nor with tests.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, Final

from wokibrain.rest import openapi

SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
VARIABLES: Final = {
    "apiKey": "",
    "adminSecret": "",
    "restaurant": "R1",
    "sector": "S1",
    "table": "T1",
    "booking": "B1",
}
# Any response that the document does not list is a defect.
TEST: Final = """pm.test('is a documented answer', () => pm.expect({statuses}).to.include(pm.response.code));
if (pm.response.code !== 204) {{
    pm.test('is JSON', () => pm.response.to.be.json);
}}"""


def collection(base_url: str) -> dict[str, Any]:
    """Return the collection for the API at ``base_url``; its variables hold the address, credentials and ids."""
    variables = {"baseUrl": base_url} | VARIABLES
    return _collection() | {"variable": [{"key": name, "value": value} for name, value in variables.items()]}


@cache
def _collection() -> dict[str, Any]:
    folders: dict[str, list[dict[str, Any]]] = {}
    for path, item in openapi.document()["paths"].items():
        for method, operation in item.items():
            folders.setdefault(operation["tags"][0], []).append(_item(path, method, operation))
    return {
        "info": {"name": "WokiBrain", "schema": SCHEMA},
        "auth": {
            "type": "apikey",
            "apikey": [
                {"key": "key", "value": "X-API-Key", "type": "string"},
                {"key": "value", "value": "{{apiKey}}", "type": "string"},
                {"key": "in", "value": "header", "type": "string"},
            ],
        },
        "item": [{"name": tag, "item": items} for tag, items in folders.items()],
    }


def _item(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    url_path = re.sub(r"\{(\w+)\}", r"{{\1}}", path)
    query = [
        {
            "key": parameter["name"],
            "value": _value(parameter),
            "disabled": not parameter.get("required", False),
        }
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    ]
    headers = [{"key": "Accept", "value": "application/json"}]
    if operation["tags"] == ["set-up"]:
        headers.append({"key": "X-Admin-Secret", "value": "{{adminSecret}}"})
    request: dict[str, Any] = {
        "method": method.upper(),
        "description": operation.get("description", ""),
        "header": headers,
        "url": {
            "raw": "{{baseUrl}}" + url_path,
            "host": ["{{baseUrl}}"],
            "path": url_path.strip("/").split("/"),
            "query": query,
        },
    }
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        headers.append({"key": "Content-Type", "value": "application/json"})
        example: Any = next((example["value"] for example in content.get("examples", {}).values()), {})
        request["body"] = {"mode": "raw", "raw": json.dumps(example, indent=2, ensure_ascii=False)}
    statuses = sorted(int(status) for status in operation["responses"])
    script = TEST.format(statuses=statuses).splitlines()
    return {
        "name": operation["summary"],
        "request": request,
        "event": [{"listen": "test", "script": {"type": "text/javascript", "exec": script}}],
    }


def _value(parameter: dict[str, Any]) -> str:
    schema = parameter.get("schema", {})
    return str(next(iter(schema.get("examples", [])), schema.get("default", "")))
