"""The base of every REST view: parsing and validation, responses, and one shape for every error."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl

import orjson
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import translation
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from pydantic import BaseModel, ValidationError
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.views import APIView

from wokibrain.core import context, errors
from wokibrain.core.callers import Caller, anonymous
from wokibrain.core.client_address import client_address
from wokibrain.core.errors import Code, DomainError, Issue, ValidationFailed
from wokibrain.postgres import diagnosis
from wokibrain.rest import throttle
from wokibrain.rest.fields import message_for
from wokibrain.rest.throttle import Rate

logger = logging.getLogger("wokibrain.rest.views")

STATUS: Final[Mapping[Code, HTTPStatus]] = {
    Code.VALIDATION_ERROR: HTTPStatus.BAD_REQUEST,
    Code.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    Code.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    Code.NOT_ACCEPTABLE: HTTPStatus.NOT_ACCEPTABLE,
    Code.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Code.PAYLOAD_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.NO_CAPACITY: HTTPStatus.CONFLICT,
    Code.CONFLICT: HTTPStatus.CONFLICT,
    Code.ALREADY_CANCELLED: HTTPStatus.CONFLICT,
    Code.INVALID_TRANSITION: HTTPStatus.CONFLICT,
    Code.IDEMPOTENCY_IN_PROGRESS: HTTPStatus.CONFLICT,
    Code.OUTSIDE_SERVICE_WINDOW: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.IDEMPOTENCY_KEY_REUSED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.RATE_LIMIT_EXCEEDED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.SERVICE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.INTERNAL_SERVER_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
}

MAX_QUERY_PARAMETERS: Final = 100
HTTP_DETAILS: Final[dict[Code, errors.Text]] = {
    Code.METHOD_NOT_ALLOWED: _("This method is not allowed here."),
    Code.NOT_ACCEPTABLE: _("Only application/json is available here."),
    Code.UNSUPPORTED_MEDIA_TYPE: _("Send the body as application/json."),
}


class HttpError(DomainError):
    """An error that only HTTP knows, e.g. 405."""

    def __init__(self, code: Code) -> None:
        super().__init__(HTTP_DETAILS[code])
        self.code = code  # type: ignore[misc]


class ApiView(APIView):
    """The base of every REST view. ``request.user`` is a ``Caller``, and requests are rate-limited."""

    rate: Rate | None = None

    def key_owner(self, request: Request) -> str:
        """Return the owner of the request's Idempotency-Key; keys of different owners never collide."""
        caller = caller_of(request)
        return f"{caller.kind.value}:{caller.id}"

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Send none of DRF's: only a 405 lists the methods, and responses do not vary by Accept."""
        return {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        endpoint = endpoint_of(request._request)
        try:
            caller = cast(Caller | None, request.user)
        except errors.Unauthorized:
            # Guesses at credentials are limited by address.
            self._admit(anonymous(client_address(request.META)), endpoint)
            raise
        self._admit(caller or anonymous(client_address(request.META)), endpoint)
        super().initial(request, *args, **kwargs)

    def _admit(self, caller: Caller, endpoint: str) -> None:
        try:
            self.rate = throttle.admit(caller, endpoint)
        except throttle.Exceeded as exceeded:
            self.rate = exceeded.rate
            raise

    def options(  # type: ignore[override]
        self, request: Request, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """List the methods, without DRF's metadata: the documentation describes them."""
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: HttpResponse, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if self.rate:
            for name, value in self.rate.headers.items():
                response[name] = value
        if response.status_code == 204:
            del response["Content-Type"]
        # Shared caches respect Authorization at best, and do not know X-API-Key.
        response.headers.setdefault("Cache-Control", "no-store")
        return super().finalize_response(request, response, *args, **kwargs)  # type: ignore[arg-type]


def endpoint_of(request: HttpRequest) -> str:
    """Return the method and route by which the rate limit counts the request."""
    match = request.resolver_match
    return f"{request.method} {match.route if match else request.path}"


View = TypeVar("View", bound=Callable[..., HttpResponse])


def limited(view: View) -> View:
    """Rate-limit a page that is not an ApiView, by client address."""

    @wraps(view)
    def counted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            rate = throttle.admit(anonymous(client_address(request.META)), endpoint_of(request))
        except throttle.Exceeded as exceeded:
            return error_response(exceeded, request)
        response = view(request, *args, **kwargs)
        for name, value in rate.headers.items() if rate else ():
            response[name] = value
        return response

    return cast(View, counted)


def caller_of(request: Request) -> Caller:
    """Return the request's caller."""
    return cast(Caller, request.user)


Model = TypeVar("Model", bound=BaseModel)


def parse_query(model: type[Model], request: Request | HttpRequest) -> Model:
    """Return the query string as ``model``.

    Raises ValidationFailed naming each invalid parameter and, for a QueryModel, each unknown one.
    """
    try:
        pairs = parse_qsl(
            request.META.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=MAX_QUERY_PARAMETERS
        )
    except ValueError:
        raise ValidationFailed.at("query", _("There are too many parameters.")) from None
    query = dict(pairs)
    if len(query) != len(pairs):
        counts = Counter(name for name, _value in pairs)
        issues = [
            Issue(name, _("Send this parameter only once."))
            for name in counts
            if counts[name] > 1 and name in _names(model)
        ]
        if issues:
            raise ValidationFailed(_summary(issues), issues=issues)
    return _validated(model, query, "query")


def parse_body(model: type[Model], body: object) -> Model:
    """Return a JSON body as ``model``. Raises ValidationFailed naming each invalid field."""
    if not isinstance(body, dict):
        raise ValidationFailed.at("body", _("Expected a JSON object."))
    return _validated(model, body, "body")


def _names(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _validated(model: type[Model], data: Mapping[str, Any], whole: str) -> Model:
    try:
        return model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        issues = [
            Issue(".".join(str(part) for part in details["loc"]) or whole, message_for(details, whole))
            for details in error.errors(include_url=False, include_input=False)
        ]
        raise ValidationFailed(_summary(issues), issues=issues) from None


def _summary(issues: Sequence[Issue]) -> errors.Text:
    """Return one sentence that names the invalid fields, for readers who do not look at the issues."""
    if len(issues) == 1:
        return format_lazy(_("{field}: {message}"), field=issues[0].path, message=issues[0].message)
    fields = ", ".join(dict.fromkeys(issue.path for issue in issues))
    return format_lazy(_("These fields are not valid: {fields}."), fields=fields)


def reply(data: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a response with the model as its JSON body."""
    return reply_json(data.model_dump_json(by_alias=True).encode(), status, headers)


def reply_json(
    body: bytes | None, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return a response with rendered JSON; DRF's own Response costs more than some queries."""
    if body is None:
        return HttpResponse(status=status, headers=headers)
    return HttpResponse(body, status=status, headers=headers, content_type="application/json")


def error_body(error: DomainError) -> dict[str, Any]:
    """Return the error as JSON values, its sentences in the current language."""
    body: dict[str, Any] = {"error": error.code.value, "detail": str(error.detail)}
    if error.issues:
        body["issues"] = [{"path": issue.path, "message": str(issue.message)} for issue in error.issues]
    body |= error.extra
    body["requestId"] = context.current().request_id
    return body


def error_response(error: DomainError, request: HttpRequest) -> HttpResponse:
    """Return the error as a response, in the language that the request prefers."""
    with translation.override(translation.get_language_from_request(request)):
        content = orjson.dumps(error_body(error))
        language = translation.get_language() or "en"
    response = HttpResponse(content, status=STATUS[error.code], content_type="application/json")
    response["Content-Language"] = language
    response["Vary"] = "Accept-Language"
    for name, value in _headers(error).items():
        response[name] = value
    return response


def _headers(error: DomainError) -> dict[str, str]:
    headers = dict(getattr(error, "headers", {}))
    if error.code is Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="wokibrain"'
    if error.code is Code.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "2"
    return headers


def exception_handler(exception: Exception, view_context: Mapping[str, Any]) -> HttpResponse:
    """Return the response for an exception of a view; DRF's hook."""
    request = cast(Request, view_context["request"])
    response = error_response(domain_error(exception), request._request)
    if isinstance(exception, exceptions.MethodNotAllowed | HttpError) and response.status_code == 405:
        response["Allow"] = ", ".join(view_context["view"].allowed_methods)
    return response


def domain_error(exception: Exception) -> DomainError:
    """Return the error that clients see for an exception; database failures and unexpected errors are logged."""
    match exception:
        case DomainError():
            return exception
        case OperationalError() | InterfaceError():
            diagnosis.report(exception)
            return errors.ServiceUnavailable()
        case Http404() | exceptions.NotFound():
            return errors.NotFound()
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return errors.Unauthorized()
        case PermissionDenied() | exceptions.PermissionDenied():
            return errors.Forbidden()
        case exceptions.NotAcceptable():
            return HttpError(Code.NOT_ACCEPTABLE)
        case exceptions.UnsupportedMediaType():
            return HttpError(Code.UNSUPPORTED_MEDIA_TYPE)
        case exceptions.MethodNotAllowed():
            return HttpError(Code.METHOD_NOT_ALLOWED)
        case exceptions.APIException(status_code=400) | SuspiciousOperation():
            return ValidationFailed()
    logger.error("unhandled error, request %s", context.current().request_id, exc_info=exception)
    return DomainError()


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404."""
    return error_response(errors.NotFound(), request)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400: an unknown host, a malformed upload ..."""
    return error_response(ValidationFailed(), request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, for failures outside REST views."""
    return error_response(DomainError(), request)


Page = Callable[[HttpRequest], HttpResponse]


def require_safe(page: Page) -> Page:
    """Allow only GET, HEAD and OPTIONS, with the API's error for other methods."""

    @wraps(page)
    def safe(request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return page(request)
        if request.method == "OPTIONS":
            response = HttpResponse(status=204)
            del response["Content-Type"]
        else:
            response = error_response(HttpError(Code.METHOD_NOT_ALLOWED), request)
        response["Allow"] = "GET, HEAD, OPTIONS"
        return response

    return safe


def json_response(data: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), status=status, content_type="application/json")
