"""Field types of the API's query strings and JSON bodies, and the messages for invalid values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from wokibrain.core import ids
from wokibrain.core.errors import Text

FIRST_DATE: Final = date(2000, 1, 1)
LAST_DATE: Final = date(2099, 12, 31)

MESSAGES: Final[Mapping[str, str]] = {
    "missing": gettext_noop("This field is required."),
    "extra_forbidden": gettext_noop("Unknown field."),
    "unknown_parameter": gettext_noop("Unknown parameter."),
    "int_type": gettext_noop("Expected a whole number."),
    "int_parsing": gettext_noop("Expected a whole number."),
    "int_from_float": gettext_noop("Expected a whole number."),
    "int_parsing_size": gettext_noop("This number is too large."),
    "bool_type": gettext_noop("Expected true or false."),
    "bool_parsing": gettext_noop("Expected true or false."),
    "string_type": gettext_noop("Expected text."),
    "string_unicode": gettext_noop("Expected text."),
    "string_too_long": gettext_noop("At most %(max_length)s characters."),
    "string_too_short": gettext_noop("At least %(min_length)s characters."),
    "string_pattern_mismatch": gettext_noop("This is not in the expected format."),
    "list_type": gettext_noop("Expected a list."),
    "too_long": gettext_noop("At most %(max_length)s entries."),
    "too_short": gettext_noop("At least %(min_length)s entries."),
    "greater_than_equal": gettext_noop("Must be at least %(ge)s."),
    "less_than_equal": gettext_noop("Must be at most %(le)s."),
    "multiple_of": gettext_noop("Must be a multiple of %(multiple_of)s."),
    "literal_error": gettext_noop("Expected one of: %(expected)s."),
    "enum": gettext_noop("Expected one of: %(expected)s."),
    "dict_type": gettext_noop("Expected a JSON object."),
    "model_type": gettext_noop("Expected a JSON object."),
    "model_attributes_type": gettext_noop("Expected a JSON object."),
    "timezone_aware": gettext_noop(
        "Expected an instant with its UTC offset, e.g. 2025-10-22T20:00:00-03:00."
    ),
    "datetime_type": gettext_noop("Expected an instant with its UTC offset, e.g. 2025-10-22T20:00:00-03:00."),
    "uuid_parsing": gettext_noop("Expected a UUID."),
    # Raised by the validators below.
    "date_form": gettext_noop("Expected a valid date as YYYY-MM-DD."),
    "date_range": gettext_noop("Expected a date from 2000-01-01 to 2099-12-31."),
    "instant_form": gettext_noop("Expected an instant with its UTC offset, e.g. 2025-10-22T20:00:00-03:00."),
    "instant_grid": gettext_noop("A booking must start on a quarter hour."),
    "wall_time": gettext_noop("Expected a time of day as HH:MM."),
    "nul": gettext_noop("A NUL character is not allowed."),
    "identifier": gettext_noop(
        "Use 1-50 letters, digits, '.', '_', '~' or '-', starting with a letter or a digit."
    ),
    "email": gettext_noop("Expected an e-mail address."),
    "phone": gettext_noop("Expected a phone number of 5 to 20 digits."),
    "repeated": gettext_noop("Entries must be unique."),
    "last_seating": gettext_noop("The last seating must be within the window."),
    "equal_edges": gettext_noop("The window must end after it starts."),
}


def invalid(kind: str) -> PydanticCustomError:
    """Return the error for a key of MESSAGES."""
    return PydanticCustomError(kind, MESSAGES[kind])


def message_for(error: ErrorDetails, whole: str = "body") -> Text:
    """Return the sentence for a pydantic error in a "body" or "query", translated when it is rendered."""
    kind, values = error["type"], error.get("ctx", {})
    if whole == "query" and kind == "extra_forbidden":
        kind = "unknown_parameter"
    if kind in ("too_long", "too_short") and values.get("field_type") == "Value":
        # Behind a custom validator pydantic reports text like this; lists it calls "List".
        kind = f"string_{kind}"
    template = MESSAGES.get(kind)
    if template is None:
        return gettext_lazy("This value is not valid.")
    return _Message(template, values)


class _Message(str):
    """A message that is translated when it is rendered, not when it is raised."""

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, values: Mapping[str, Any]) -> _Message:
        self = super().__new__(cls, template)
        self.template, self.values = template, values
        return self

    def __str__(self) -> str:
        return _(self.template) % self.values

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


class ApiModel(BaseModel):
    """The base of the API's models: camelCase in JSON, snake_case in code."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class RequestModel(ApiModel):
    """The base of bodies and query strings: what a model does not know is an error, so typos are noticed."""

    model_config = ConfigDict(extra="forbid")

    def canonical(self) -> str:
        """Return the request as JSON that does not depend on how its sender spelled it."""
        return self.model_dump_json(exclude_unset=True)


class QueryModel(RequestModel):
    """The base of query strings."""


class BodyModel(RequestModel):
    """The base of JSON bodies, whose types are not coerced."""

    model_config = ConfigDict(strict=True)


def example(value: dict[str, Any]) -> ConfigDict:
    """Return the model configuration that shows ``value`` as the documentation's example."""
    return ConfigDict(json_schema_extra={"examples": [value]})


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise invalid("nul")
    return text


def _whole(value: object) -> object:
    if isinstance(value, str):
        # To JSON Schema 5.0 is a whole number.
        whole = re.fullmatch(r"([+-]?[0-9]{1,12})(\.0{1,12})?", value, re.ASCII)
        if not whole:
            raise PydanticCustomError("int_parsing", "not a whole number")
        return int(whole[1])
    return value


def _date(value: object) -> date:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise invalid("date_form")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise invalid("date_form") from None
    if not FIRST_DATE <= day <= LAST_DATE:
        raise invalid("date_range")
    return day


def _wall_time(value: object) -> time:
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value, re.ASCII):
        raise invalid("wall_time")
    return time.fromisoformat(value)


_INSTANT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:?\d{2})", re.ASCII
)
_NANOSECONDS: Final = re.compile(r"\.\d{6}\d*[1-9]", re.ASCII)
"""A fraction finer than the microseconds of a datetime."""


def _instant(value: object) -> datetime:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise invalid("instant_form")
    try:
        instant = datetime.fromisoformat(value.upper())
    except ValueError:
        raise invalid("instant_form") from None
    try:
        # Postgres rejects offsets of 16 hours or more in ranges.
        instant = instant.astimezone(UTC)
    except OverflowError:
        raise invalid("date_range") from None
    if not FIRST_DATE <= instant.date() <= LAST_DATE:
        raise invalid("date_range")
    return instant


def _start_text(value: object) -> object:
    if isinstance(value, str) and _NANOSECONDS.search(value):
        raise invalid("instant_grid")
    return value


def _start(instant: datetime) -> datetime:
    if instant.timestamp() % 900:
        raise invalid("instant_grid")
    return instant


def _identifier(text: str) -> str:
    if not ids.NAME.fullmatch(text):
        raise invalid("identifier")
    return text


def _email(text: str) -> str:
    if not re.fullmatch(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+", text):
        raise invalid("email")
    return text


def _phone(text: str) -> str:
    digits = sum(character.isascii() and character.isdigit() for character in text)
    if not re.fullmatch(r"\+?[0-9 ()./-]+", text, re.ASCII) or not 5 <= digits <= 20:
        raise invalid("phone")
    return text


def unique(entries: list[str]) -> list[str]:
    if len(set(entries)) != len(entries):
        raise invalid("repeated")
    return entries


Line = Annotated[str, AfterValidator(_no_nul)]
Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=50),
    AfterValidator(_no_nul),
    AfterValidator(_identifier),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 50, "pattern": rf"^{ids.NAME.pattern}$"}),
]
TableIds = Annotated[list[Identifier], Field(min_length=1, max_length=4), AfterValidator(unique)]
QueryInt = Annotated[int, BeforeValidator(_whole)]
ServiceDate = Annotated[date, BeforeValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
WallTime = Annotated[
    time,
    BeforeValidator(_wall_time),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["20:00"]}),
]
Instant = Annotated[
    AwareDatetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Stamp = Annotated[
    datetime,
    PlainSerializer(lambda instant: instant.isoformat(timespec="milliseconds"), when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2025-10-20T09:00:00.000-03:00"]}),
]
"""When something happened, in output: keeps its UTC offset, to the millisecond."""
Start = Annotated[Instant, BeforeValidator(_start_text), AfterValidator(_start)]
Email = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(_no_nul),
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": 254}),
]
Phone = Annotated[
    str,
    StringConstraints(max_length=32),
    AfterValidator(_no_nul),
    AfterValidator(_phone),
    WithJsonSchema({"type": "string", "maxLength": 32, "examples": ["+54 11 4000 0000"]}),
]
EmailOrEmpty = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(_no_nul),
    AfterValidator(lambda text: text and _email(text)),
    WithJsonSchema({"type": "string", "maxLength": 254}),
]
PhoneOrEmpty = Annotated[
    str,
    StringConstraints(max_length=32),
    AfterValidator(_no_nul),
    AfterValidator(lambda text: text and _phone(text)),
    WithJsonSchema({"type": "string", "maxLength": 32}),
]
