"""Typed settings from the environment.

A value comes from the process environment, else from the file `.env` at the root of the checkout, else from the
default. A variable set to nothing counts as not set, so that `DATABASE_URL=` in a compose file means "no database
given". Under ENVIRONMENT=test the file is not read: tests say themselves what they run with.
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


def read_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines; `#` starts a comment line; one pair of quotes around a value is taken off."""
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
        raise ImproperlyConfigured(f"{name} must be {_between(minimum, maximum)}, not {value}")
    return value


def seconds(name: str, default: float, minimum: float = 0, maximum: float | None = None) -> float:
    raw = text(name)
    if not raw:
        return default
    try:
        value = float(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number of seconds, not {raw!r}") from None
    # Written so that NaN fails as well: it compares false with everything.
    if not (minimum <= value <= (float("1e9") if maximum is None else maximum)):
        raise ImproperlyConfigured(f"{name} must be {_between(minimum, maximum)} seconds, not {raw}")
    return value


def numbers(name: str, default: list[float]) -> list[float]:
    """A comma-separated list of seconds in ascending order, none negative."""
    try:
        values = [float(item) for item in items(name, [str(each) for each in default])]
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be numbers with commas between") from None
    if not all(0 <= value <= 1e7 for value in values) or values != sorted(values):
        raise ImproperlyConfigured(f"{name} must be in ascending order, each from 0 to 10000000 seconds")
    return values


def flag(name: str, default: bool = False) -> bool:
    raw = text(name).lower()
    if not raw:
        return default
    if raw in TRUE:
        return True
    if raw in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {raw!r}")


def items(name: str, default: tuple[str, ...] | list[str] = ()) -> list[str]:
    """A comma-separated list; `none` is the empty list, for where the default is not empty."""
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
    """development, production or test: what the defaults of everything else follow."""
    return choice("ENVIRONMENT", "development", ENVIRONMENTS)


def data_dir() -> Path:
    """Where the embedded servers keep their files; `.data` in the checkout unless DATA_DIR says otherwise."""
    return (ROOT / text("DATA_DIR", ".data")).resolve()


def database(url: str, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A `DATABASES` entry from a libpq URL; `?host=` may name the folder of a socket, as libpq has it.

    ``defaults`` are libpq's parameters for what the URL does not say; of `options`, the server's settings, each.
    """
    if urlsplit(url).scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://")
    try:
        entry: dict[str, Any] = dict(environ.Env.db_url_config(url))
    except (ValueError, KeyError):
        # Not the parser's own message: it may quote the URL, and with it the password.
        raise ImproperlyConfigured("DATABASE_URL is not a database URL") from None
    if not entry.get("NAME"):
        raise ImproperlyConfigured("DATABASE_URL names no database")
    options: dict[str, Any] = entry.setdefault("OPTIONS", {})
    for option, key in (("host", "HOST"), ("port", "PORT")):
        if option in options:
            entry[key] = str(options.pop(option))
    # Of a setting that is given twice the last one counts.
    given = [str(each["options"]) for each in (defaults or {}, options) if each.get("options")]
    entry["OPTIONS"] = dict(defaults or {}) | options | ({"options": " ".join(given)} if given else {})
    return entry


def redis_database(url: str, number: int, name: str = "REDIS_URL") -> str:
    """The same Redis server, another of its numbered databases. ``name``: of the setting, for what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        # By hand: urlunsplit leaves out the empty host, and Redis clients insist on its two slashes.
        return f"unix://{parts.netloc}{parts.path}?db={number}"
    if parts.scheme in {"redis", "rediss"}:
        return urlunsplit(parts._replace(path=f"/{number}"))
    raise ImproperlyConfigured(f"{name} must start with redis://, rediss:// or unix://")


def celery_broker(url: str, number: int, name: str = "REDIS_URL") -> str:
    """The same again in Celery's spelling, which has a scheme of its own for sockets."""
    parts = urlsplit(redis_database(url, number, name))
    if parts.scheme != "unix":
        return urlunsplit(parts)
    password = f":{quote(unquote(parts.password), safe='')}@" if parts.password else ""
    return f"redis+socket://{password}{parts.path}?virtual_host={number}"


def redis_number(url: str, name: str = "REDIS_URL") -> int:
    """The numbered database a Redis URL names; 0 when it names none."""
    parts = urlsplit(url)
    named = (
        parse_qs(parts.query).get("db", ["0"])[0] if parts.scheme == "unix" else parts.path.strip("/") or "0"
    )
    if not named.isdigit():
        raise ImproperlyConfigured(f"{name} must end in the number of a database")
    return int(named)


def _between(minimum: float | None, maximum: float | None) -> str:
    if minimum is None:
        return f"at most {maximum}"
    return f"at least {minimum}" if maximum is None else f"between {minimum} and {maximum}"
