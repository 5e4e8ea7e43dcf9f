"""One vocabulary of refusals for every protocol.

Services and selectors raise a ``DomainError``; the adapters (REST, WebSocket, ...) are the only
places that know how a code is spelled on their wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Self, TypeAlias

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text: TypeAlias = str | Promise


class Code(StrEnum):
    """Stable codes an integrator may switch on; their sentences may change, these never do."""

    VALIDATION_ERROR = "VALIDATION_ERROR"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    NO_CAPACITY = "NO_CAPACITY"
    CONFLICT = "CONFLICT"
    ALREADY_CANCELLED = "ALREADY_CANCELLED"
    INVALID_TRANSITION = "INVALID_TRANSITION"
    IDEMPOTENCY_IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"
    OUTSIDE_SERVICE_WINDOW = "OUTSIDE_SERVICE_WINDOW"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


@dataclass(frozen=True, slots=True)
class Issue:
    """What is wrong with one field: ``path`` is the field as the caller spelled it."""

    path: str
    message: Text


class DomainError(Exception):
    """A refusal with a code, a sentence for people and, where fields are at fault, their issues."""

    code: ClassVar[Code] = Code.INTERNAL_SERVER_ERROR
    message: ClassVar[Text] = _("Something went wrong on our side.")
    extra: Mapping[str, str] = MappingProxyType({})
    """Further fields of the error's body, e.g. the token that acknowledges a list."""
    reason: str = ""
    """Why, in one word, where there are several reasons for one code; for counting."""

    def __init__(self, detail: Text = "", *, issues: Sequence[Issue] = ()) -> None:
        super().__init__(self.code.value)
        self.detail: Text = detail or self.message
        self.issues = tuple(issues)


class ValidationFailed(DomainError):
    code = Code.VALIDATION_ERROR
    message = _("The request is not valid.")

    @classmethod
    def at(cls, path: str, message: Text) -> ValidationFailed:
        """The common case: one field is at fault, and its message is the sentence."""
        return cls(message, issues=[Issue(path, message)])


class Unauthorized(DomainError):
    code = Code.UNAUTHORIZED
    message = _("Valid credentials are required.")


class Forbidden(DomainError):
    code = Code.FORBIDDEN
    message = _("You do not have permission to do this.")


class NotFound(DomainError):
    code = Code.NOT_FOUND
    message = _("Not found, or you do not have access to it.")

    @classmethod
    def at(cls, path: str) -> NotFound:
        """A field named what is not there; the same for what the caller may not see."""
        return cls(issues=[Issue(path, cls.message)])


class PayloadTooLarge(DomainError):
    code = Code.PAYLOAD_TOO_LARGE
    message = _("The request body is too large.")


class NoCapacity(DomainError):
    code = Code.NO_CAPACITY
    message = _("No table or combination of tables is free for this party then.")


class Conflict(DomainError):
    code = Code.CONFLICT
    message = _("The requested tables or time have just been taken.")


class AlreadyCancelled(DomainError):
    code = Code.ALREADY_CANCELLED
    message = _("This booking is already cancelled.")


class InvalidTransition(DomainError):
    code = Code.INVALID_TRANSITION
    message = _("The booking's status does not allow this.")


class IdempotencyInProgress(DomainError):
    code = Code.IDEMPOTENCY_IN_PROGRESS
    message = _("A request with this Idempotency-Key is still running.")


class IdempotencyKeyReused(DomainError):
    code = Code.IDEMPOTENCY_KEY_REUSED
    message = _("This Idempotency-Key was used before with another request.")


class OutsideServiceWindow(DomainError):
    code = Code.OUTSIDE_SERVICE_WINDOW
    message = _("The restaurant does not serve then.")


class RateLimitExceeded(DomainError):
    code = Code.RATE_LIMIT_EXCEEDED
    message = _("Too many requests; slow down.")
    headers: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def after(cls, seconds: int) -> Self:
        """Refused for that long."""
        error = cls()
        error.headers = {"Retry-After": str(seconds)}
        return error


class CannotStart(Exception):
    """The product cannot start on this machine; the message tells the operator why, in one line."""


class ServiceUnavailable(DomainError):
    code = Code.SERVICE_UNAVAILABLE
    message = _("The service is briefly unavailable; try again shortly.")
