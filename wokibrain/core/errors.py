"""The errors that services and selectors raise, the same for every protocol.

Only the adapters (REST, WebSocket, ...) know how an error code is expressed in their protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeAlias

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

Text: TypeAlias = str | Promise


class Code(StrEnum):
    """Stable error codes for integrators to branch on; their sentences may change, the codes never do."""

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
    """An error in one field. ``path`` is the field's name as the caller wrote it."""

    path: str
    message: Text


class DomainError(Exception):
    """An error with a code, a sentence for people and, where it concerns fields, an issue for each."""

    code: ClassVar[Code] = Code.INTERNAL_SERVER_ERROR
    message: ClassVar[Text] = _("Something went wrong on our side.")
    extra: Mapping[str, Any] = MappingProxyType({})
    """Additional fields of the error body, e.g. the token that acknowledges stranded bookings."""
    reason: str = ""
    """One word for metrics that tells apart several reasons for the same code."""

    def __init__(self, detail: Text = "", *, issues: Sequence[Issue] = ()) -> None:
        super().__init__(self.code.value)
        self.detail: Text = detail or self.message
        self.issues = tuple(issues)


class ValidationFailed(DomainError):
    code = Code.VALIDATION_ERROR
    message = _("The request is not valid.")

    @classmethod
    def at(cls, path: str, message: Text) -> ValidationFailed:
        """Return the error for one invalid field, whose message is also the sentence."""
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
        """Return the error for a field that names something missing, or hidden from the caller."""
        return cls(issues=[Issue(path, cls.message)])


class PayloadTooLarge(DomainError):
    code = Code.PAYLOAD_TOO_LARGE
    message = _("The request body is too large.")


class NoCapacity(DomainError):
    code = Code.NO_CAPACITY
    message = _("No table or combination of tables is free for this party at that time.")


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
    message = _("The restaurant does not serve at that time.")


class RateLimitExceeded(DomainError):
    code = Code.RATE_LIMIT_EXCEEDED
    message = _("Too many requests; slow down.")
    headers: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def after(cls, seconds: int) -> Self:
        """Return the error with a Retry-After header of that many seconds."""
        error = cls()
        error.headers = {"Retry-After": str(seconds)}
        return error


class CannotStart(Exception):
    """The product cannot start on this machine; the message tells the operator why, in one line."""


class ServiceUnavailable(DomainError):
    code = Code.SERVICE_UNAVAILABLE
    message = _("The service is briefly unavailable; try again shortly.")


class UnknownZone(ServiceUnavailable):
    """This host's time-zone rules lack a restaurant's zone: a newer release, or a write by hand, brought it."""

    def __init__(self, name: str) -> None:
        text = _("This server does not know the restaurant's time zone, {zone}.")
        super().__init__(format_lazy(text, zone=name))
