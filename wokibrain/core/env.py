"""Typed settings from the environment.

A value comes from the process environment, else from the file `.env` at the root of the checkout, else from the
default. A variable that is set but empty counts as unset, so that a compose file may say `DATABASE_URL=`. Under
ENVIRONMENT=test the file is not read: each test names the settings it needs.

These readers are our own because django-environ's let mistakes pass: it reads TLS=ture as false, skips a broken line
of the file, takes the rest of a secret that starts with `$` for a variable's name, and does not name the setting in
its errors. It does parse the database URL.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

import environ
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[2]

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})
ENVIRONMENTS = ("development", "production", "test")
MAX_SECONDS = 1_000_000_000.0
"""About 32 years: beyond it a duration is a mistake, and `datetime` overflows soon after."""
MAX_LISTED_SECONDS = 10_000_000.0


def read_file(path: Path) -> dict[str, str]:
    """Return the `NAME=value` lines of a file; `#` starts a comment line, one pair of quotes is taken off a value.

    Raises ImproperlyConfigured with the number of a line that is neither.
    """
    if not path.is_file():
        return {}
    values = {}
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ImproperlyConfigured(f"{path.name}, line {number}: expected NAME=value")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return values


_file: dict[str, str] = {} if os.environ.get("ENVIRONMENT") == "test" else read_file(ROOT / ".env")


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or _file.get(name, "").strip() or default


def integer(name: str, default: int, minimum: int | None = None, maximum: int | None = None) -> int:
    raw = text(name)
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {raw!r}") from None
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ImproperlyConfigured(f"{name} must be {_bounds(minimum, maximum)}, not {value}")
    return value


def seconds(name: str, default: float, minimum: float = 0, maximum: float | None = None) -> float:
    raw = text(name)
    if not raw:
        return default
    try:
        value = float(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number of seconds, not {raw!r}") from None
    # Not `value < minimum or ...`: NaN compares false with everything and would pass.
    if not (minimum <= value <= (MAX_SECONDS if maximum is None else maximum)):
        raise ImproperlyConfigured(f"{name} must be {_bounds(minimum, maximum)} seconds, not {raw}")
    return value


def numbers(name: str, default: list[float]) -> list[float]:
    """Return a comma-separated list of seconds, ascending and none negative."""
    try:
        values = [float(item) for item in items(name, [str(value) for value in default])]
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be numbers with commas between") from None
    if not all(0 <= value <= MAX_LISTED_SECONDS for value in values) or values != sorted(values):
        raise ImproperlyConfigured(
            f"{name} must be in ascending order, each from 0 to {MAX_LISTED_SECONDS:.0f} seconds"
        )
    return values


def flag(name: str, default: bool = False) -> bool:
    raw = text(name).lower()
    if not raw:
        return default
    if raw not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} must be true or false, not {raw!r}")
    return raw in TRUE


def items(name: str, default: tuple[str, ...] | list[str] = ()) -> list[str]:
    """Return a comma-separated list; `none` is the empty list, for settings whose default is not empty."""
    raw = text(name)
    if not raw:
        return list(default)
    if raw.lower() == "none":
        return []
    return [item.strip() for item in raw.split(",") if item.strip()]


def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(filter(None, choices))}, not {value!r}")
    return value


def environment() -> str:
    """Return development, production or test; the defaults of other settings depend on it."""
    return choice("ENVIRONMENT", "development", ENVIRONMENTS)


def data_dir() -> Path:
    """Return the folder for data, metrics and static files: DATA_DIR, relative to the checkout, `.data` by default."""
    return (ROOT / text("DATA_DIR", ".data")).resolve()


def database(url: str, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a `DATABASES` entry for a libpq URL; as in libpq, `?host=` may name the folder of a socket.

    ``defaults`` are libpq parameters; those in the URL replace them, except `options`, where the URL's follow the
    defaults, so that a default applies unless the URL sets the same one. Raises ImproperlyConfigured.
    """
    if urlsplit(url).scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://")
    try:
        entry: dict[str, Any] = dict(environ.Env.db_url_config(url))
    except (ValueError, KeyError):
        # The parser's own message may quote the URL, and with it the password.
        raise ImproperlyConfigured("DATABASE_URL is not a database URL") from None
    if not entry.get("NAME"):
        raise ImproperlyConfigured("DATABASE_URL names no database")
    parameters: dict[str, Any] = entry.setdefault("OPTIONS", {})
    for parameter, key in (("host", "HOST"), ("port", "PORT")):
        if parameter in parameters:
            entry[key] = str(parameters.pop(parameter))
    # Where Postgres reads the same option twice, the last one counts.
    options = " ".join(source["options"] for source in (defaults or {}, parameters) if source.get("options"))
    entry["OPTIONS"] = {**(defaults or {}), **parameters, **({"options": options} if options else {})}
    return entry


def redis_database(url: str, number: int, name: str = "REDIS_URL") -> str:
    """Return the URL of another numbered database of the same Redis server.

    Raises ImproperlyConfigured, naming the setting ``name``, for a URL that is not one of Redis.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix":
        # Not urlunsplit: it drops the two slashes of an empty host, which Redis clients require.
        return f"unix://{parts.netloc}{parts.path}?db={number}"
    if parts.scheme in {"redis", "rediss"}:
        return urlunsplit(parts._replace(path=f"/{number}"))
    raise ImproperlyConfigured(f"{name} must start with redis://, rediss:// or unix://")


def celery_broker(url: str, number: int, name: str = "REDIS_URL") -> str:
    """Return the same as ``redis_database`` for Celery, which has a scheme of its own for sockets."""
    parts = urlsplit(redis_database(url, number, name))
    if parts.scheme != "unix":
        return urlunsplit(parts)
    password = f":{quote(unquote(parts.password), safe='')}@" if parts.password else ""
    return f"redis+socket://{password}{parts.path}?virtual_host={number}"


def redis_number(url: str, name: str = "REDIS_URL") -> int:
    """Return the number of the database in a Redis URL, 0 by default. Raises ImproperlyConfigured."""
    parts = urlsplit(url)
    number = (
        parse_qs(parts.query).get("db", ["0"])[0] if parts.scheme == "unix" else parts.path.strip("/") or "0"
    )
    if not number.isdigit():
        raise ImproperlyConfigured(f"{name} must end in the number of a database")
    return int(number)


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is None:
        return f"at most {maximum}"
    return f"at least {minimum}" if maximum is None else f"between {minimum} and {maximum}"
