"""The OpenAPI 3.1 document, generated from the views: parameters, bodies, responses and errors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, wraps
from typing import Any, Final, TypeVar, cast

from django.conf import settings
from django.utils import translation
from drf_spectacular.contrib.pydantic import PydanticExtension
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import BaseModel, Field
from rest_framework.request import Request

from wokibrain.core import errors as domain_errors
from wokibrain.core.errors import Code, DomainError, Text
from wokibrain.rest.fields import ApiModel, BodyModel, QueryModel
from wokibrain.rest.idempotency import Encryption, Idempotency, once
from wokibrain.rest.views import HTTP_DETAILS, STATUS, parse_query

View = TypeVar("View", bound=Callable[..., Any])


class IssueOut(ApiModel):
    path: str = Field(description="The field, as the request spells it.", examples=["partySize"])
    message: str = Field(examples=["Must be at most 50."])


class Alternative(ApiModel):
    sector_id: str = Field(examples=["S1"])
    table_ids: list[str] = Field(examples=[["T5"]])


class Error(ApiModel):
    """Every error. `error` is a stable code; `detail` is in the language of Accept-Language (en, es)."""

    error: Code
    detail: str
    issues: list[IssueOut] = Field(default=[], description="The invalid fields; absent when there are none.")
    acknowledge: str = Field(
        "",
        description="With CONFLICT, when bookings would lose their place: send it as `?acknowledge=` to confirm.",
    )
    alternatives: list[Alternative] = Field(
        default=[],
        description="With CONFLICT at tables: free ones that would do, best first; absent when not looked for.",
    )
    request_id: str = Field(examples=["5f0c2f3e-8f5e-4a8b-9a53-5f5d7f3a0c11"])


EXAMPLES: Final[Mapping[Code, str]] = {
    Code.VALIDATION_ERROR: "partySize: Must be at most 50.",
    Code.NO_CAPACITY: "No table for 4 is free at that time. The nearest times that would work: 22:15.",
    Code.INVALID_TRANSITION: "A booking that is Completed does not allow this. Possible now: Put back.",
    Code.OUTSIDE_SERVICE_WINDOW: "The restaurant is closed on that date.",
}
"""Details for codes whose usual sentence is more specific than the error's own message."""
COMMON_ERRORS: Final = (
    Code.VALIDATION_ERROR,
    Code.NOT_ACCEPTABLE,
    Code.RATE_LIMIT_EXCEEDED,
    Code.INTERNAL_SERVER_ERROR,
    Code.SERVICE_UNAVAILABLE,
)
CREATES: Final = "x-creates"
"""Carries ``creates`` to the hook that links operations; removed from the document."""
ADMIN_SECRET: Final[Any] = [{"adminSecret": []}]
CREDENTIAL_ERRORS: Final = (Code.UNAUTHORIZED, Code.FORBIDDEN)
BODY_ERRORS: Final = (Code.PAYLOAD_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE)
KEY_ERRORS: Final = (Code.IDEMPOTENCY_IN_PROGRESS, Code.IDEMPOTENCY_KEY_REUSED)

IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description="Any 1-255 printable ASCII characters. Kept 24 hours per caller; a repeated request gives "
    "the first one's status and body with `Idempotent-Replayed: true`.",
)


def operation(
    operation_id: str,
    summary: str,
    description: str,
    *,
    query: type[QueryModel] | None = None,
    body: type[BodyModel] | None = None,
    out: type[BaseModel] | None = None,
    status: int = 200,
    errors: Iterable[Code] = (),
    idempotency: Idempotency = Idempotency.VIEW,
    encryption: Encryption | None = None,
    prepare: Callable[[Request], object] | None = None,
    tag: str = "bookings",
    open_to_all: bool = False,
    secret: bool = False,
    creates: str | None = None,
) -> Callable[[View], View]:
    """Document a view's method and, unless it only reads, make it accept an Idempotency-Key (see ``once``).

    ``errors`` are added to those that every operation may return. ``secret`` means that the operation
    takes ADMIN_SECRET instead of credentials. ``creates`` is the path parameter by which other operations
    name what this one creates; they are linked to its response's ``id``. Examples come from the models
    ``body`` and ``out``, or are put together from their fields.
    """

    def define(view: View) -> View:
        takes_key = view.__name__ != "get" and idempotency is not Idempotency.NONE
        credential_errors = () if open_to_all else CREDENTIAL_ERRORS[:1] if secret else CREDENTIAL_ERRORS
        codes = dict.fromkeys(
            [
                *COMMON_ERRORS,
                *credential_errors,
                *(BODY_ERRORS if body else ()),
                *errors,
                *(KEY_ERRORS if takes_key else ()),
            ]
        )
        parameters = [*_parameters(query)] if query else []
        if takes_key:
            parameters += [IDEMPOTENCY_KEY, _replayed(status)]
        documented = extend_schema(
            operation_id=operation_id,
            summary=summary,
            description=inspect.cleandoc(description),
            tags=[tag],
            parameters=parameters,
            request=body,
            responses={status: OpenApiResponse(out, summary)} | _responses(codes),
            examples=[*_good_examples(body, out, status), *_error_examples(codes)],
            auth=[] if open_to_all else ADMIN_SECRET if secret else None,
            extensions={CREATES: creates} if creates else None,
        )
        if takes_key and idempotency is Idempotency.VIEW:
            view = cast(View, once(view, query=query, body=body, encryption=encryption, prepare=prepare))
        if query is None:
            view = _without_parameters(view, SecretQuery if secret else NoQuery)
        return documented(view)

    return define


class NoQuery(QueryModel):
    """The query of an operation without parameters."""


class SecretQuery(QueryModel):
    """The query of a set-up operation, outside production: the secret, in place of its header."""

    secret: str = ""


def _without_parameters(view: View, model: type[QueryModel]) -> View:
    """Refuse parameters by name before the view's method runs; where it has some, their model does."""

    @wraps(view)
    def checked(self: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        if request.META.get("QUERY_STRING"):
            parse_query(NoQuery if settings.PRODUCTION else model, request)
        return view(self, request, *args, **kwargs)

    return cast(View, checked)


def _replayed(status: int) -> OpenApiParameter:
    return OpenApiParameter(
        "Idempotent-Replayed",
        {"type": "string", "enum": ["true"]},
        OpenApiParameter.HEADER,
        response=[status],
        description="Present when this is the result of an earlier request with the same key.",
    )


def _good_examples(
    body: type[BaseModel] | None, out: type[BaseModel] | None, status: int
) -> Iterable[OpenApiExample]:
    if body:
        yield OpenApiExample("Request", _example_of(body), request_only=True)
    if out:
        yield OpenApiExample("Answer", _example_of(out), response_only=True, status_codes=[str(status)])


def _example_of(model: type[BaseModel]) -> Any:
    schema = model.model_json_schema()
    return _sample(schema, schema.get("$defs", {}))


SAMPLES: Final[Mapping[str, str]] = {
    "uuid": "01a1fb61-18a3-73fd-b53a-8a008dc65c1e",
    "date": "2025-10-22",
    "date-time": "2025-10-22T20:00:00-03:00",
}


def _sample(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """Return a value that fits the schema: its example, else one put together from its parts.

    Objects get the fields that are required or have an example.
    """
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return _sample(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _sample(schema["anyOf"][0], definitions)
    match schema.get("type"):
        case "object":
            required = schema.get("required", ())
            return {
                name: _sample(field, definitions)
                for name, field in schema.get("properties", {}).items()
                if name in required or field.get("examples")
            }
        case "array":
            return [_sample(schema["items"], definitions)]
        case "string":
            return SAMPLES.get(schema.get("format", ""), "text")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return None


def _responses(codes: Iterable[Code]) -> dict[int, OpenApiResponse]:
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(int(STATUS[code]), []).append(f"`{code.value}`")
    return {status: OpenApiResponse(Error, ", ".join(names)) for status, names in sorted(by_status.items())}


def _example_detail(code: Code) -> str:
    with translation.override("en"):
        return EXAMPLES.get(code) or str(_MESSAGES[code])


_MESSAGES: Final[Mapping[Code, Text]] = HTTP_DETAILS | {
    error.code: error.message
    for error in vars(domain_errors).values()
    if isinstance(error, type) and issubclass(error, DomainError)
}


def _error_examples(codes: Iterable[Code]) -> Iterable[OpenApiExample]:
    for code in codes:
        value: dict[str, Any] = {"error": code.value, "detail": _example_detail(code)}
        if code is Code.VALIDATION_ERROR:
            path, _, message = value["detail"].partition(": ")
            value["issues"] = [{"path": path, "message": message}]
        value["requestId"] = "5f0c2f3e-8f5e-4a8b-9a53-5f5d7f3a0c11"
        yield OpenApiExample(code.value, value, response_only=True, status_codes=[str(int(STATUS[code]))])


def _parameters(model: type[BaseModel]) -> Iterable[OpenApiParameter]:
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        yield OpenApiParameter(
            name,
            _plain(field, definitions),
            OpenApiParameter.QUERY,
            required=name in required,
            description=field.get("description", ""),
        )


def _plain(schema: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without references, and without null, which a query string cannot carry."""
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        (only,) = [option for option in schema["anyOf"] if option.get("type") != "null"]
        rest = {key: schema[key] for key in ("examples",) if key in schema}
        return _plain(only, definitions) | rest
    # Behind a custom validator, constraints keep pydantic's names.
    schema = {JSON_SCHEMA_NAMES.get(key, key): value for key, value in schema.items()}
    dropped = {"title", "description"} | ({"default"} if schema.get("default", 0) is None else set())
    return {key: value for key, value in schema.items() if key not in dropped}


PARAMETER: Final = re.compile(r"{(\w+)}")
JSON_SCHEMA_NAMES: Final = {"ge": "minimum", "le": "maximum", "multiple_of": "multipleOf"}


class ModelExtension(PydanticExtension):  # type: ignore[no-untyped-call]
    """Pydantic models as components, with enums inlined and without null as a default.

    An enum would otherwise become a component named after its class, and several models have a Status. A default is
    what generated clients send for a field that is left out, but to a PATCH null and left out are different.
    """

    priority = 1

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        schema = self.target.model_json_schema(
            ref_template="#/components/schemas/{model}", mode="serialization"
        )
        definitions = schema.pop("$defs", {})
        enums = {name: definition for name, definition in definitions.items() if "enum" in definition}
        for name, definition in definitions.items():
            if name not in enums:
                auto_schema.registry.register_on_missing(
                    ResolvedComponent(  # type: ignore[no-untyped-call]
                        name=name,
                        type=ResolvedComponent.SCHEMA,
                        object=name,
                        schema=_inlined(definition, enums),
                    )
                )
        inlined: dict[str, Any] = _inlined(schema, enums)
        return inlined


def _inlined(part: Any, enums: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inlined(item, enums) for item in part]
    if not isinstance(part, dict):
        return part
    name = str(part.get("$ref", "")).rpartition("/")[2]
    if name in enums:
        beside = {key: value for key, value in part.items() if key != "$ref"}
        return {key: value for key, value in enums[name].items() if key != "title"} | beside
    return {
        key: _inlined(value, enums) for key, value in part.items() if not (key == "default" and value is None)
    }


class CredentialScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "wokibrain.access.authentication.CredentialAuthentication"
    name = ["apiKey", "bearer"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        return [
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            {"type": "http", "scheme": "bearer", "description": "An API key, or an access token."},
        ]


def finish(result: dict[str, Any], generator: SchemaGenerator, **_: Any) -> dict[str, Any]:
    """Complete the document: its description, alternative credentials, links and servers."""
    result["info"]["description"] = (
        "Seats parties at restaurant tables. Instants carry the restaurant's own UTC offset; `date` is the "
        "service date in its zone; starts lie on quarter hours. Instants may be sent as RFC 3339 allows, at any "
        "offset. Bodies are JSON in UTF-8, as they are or with the `Content-Encoding` gzip or deflate. Fields and "
        "query parameters that an operation does not know are refused by name."
    )
    for path in result["paths"].values():
        for method in path.values():
            if "security" in method:
                # Any one is enough; listed in one requirement, all would be required together.
                names = [name for requirement in method["security"] for name in requirement]
                method["security"] = [{name: []} for name in names]
                if "adminSecret" not in names and settings.PUBLIC_PERMISSIONS:
                    method["security"].append({})
    _link(result["paths"])
    result["components"]["securitySchemes"]["adminSecret"] = {
        "type": "apiKey",
        "in": "header",
        "name": "X-Admin-Secret",
        "description": "The installation's ADMIN_SECRET; for trying out only.",
    }
    result.setdefault("servers", [{"url": "/"}])
    return result


def _link(paths: Mapping[str, dict[str, Any]]) -> None:
    """Link each operation that creates something to the operations on what it created."""
    operations = [
        (operation, frozenset(PARAMETER.findall(path)))
        for path, item in paths.items()
        for operation in item.values()
    ]
    for creator, parameters in operations:
        created = creator.pop(CREATES, None)
        if created is None:
            continue
        links = {
            target["operationId"]: {
                "operationId": target["operationId"],
                "parameters": {created: "$response.body#/id"}
                | {name: f"$request.path.{name}" for name in sorted(names - {created})},
            }
            for target, names in operations
            if created in names and names <= parameters | {created}
        }
        (success,) = (response for status, response in creator["responses"].items() if status.startswith("2"))
        success["links"] = links


@cache
def document() -> dict[str, Any]:
    """Return the document, generated once per process."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(  # type: ignore[no-untyped-call]
        request=None, public=True
    )
    return schema
