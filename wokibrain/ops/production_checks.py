"""Settings with which the product refuses to start in production."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

MIN_SECRET_LENGTH: Final = 32
"""Characters; as many as HMAC-SHA-256 has bytes."""


def unsafe(settings: Any) -> Iterator[str]:
    """Yield a sentence for each unsafe setting, which begins with the setting's name."""
    if settings.DEBUG:
        yield "DEBUG must be off"
    for name in ("SECRET_KEY", "JWT_SECRET", "ADMIN_SECRET"):
        value = getattr(settings, name)
        if value.startswith("development-only") or len(value) < MIN_SECRET_LENGTH:
            yield f"{name} must be set to at least {MIN_SECRET_LENGTH} characters of your own"
    for key in settings.SECRET_KEY_FALLBACKS:
        if key.startswith("development-only") or len(key) < MIN_SECRET_LENGTH:
            yield f"SECRET_KEY_FALLBACKS must be keys of at least {MIN_SECRET_LENGTH} characters of your own"
            break
    if settings.JWT_SECRET == settings.SECRET_KEY:
        yield "JWT_SECRET must differ from SECRET_KEY"
    for key in settings.WEBHOOK_SECRET_KEYS or [""]:
        if key.startswith("development-only") or len(key) < MIN_SECRET_LENGTH:
            yield f"WEBHOOK_SECRET_KEYS must be set to keys of at least {MIN_SECRET_LENGTH} characters of your own"
            break
    if settings.WEBHOOK_ALLOW_PRIVATE:
        yield "WEBHOOK_ALLOW_PRIVATE must be off"
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS must name the hosts that are served, not '*'"
    if settings.CORS_ALLOW_ALL_ORIGINS:
        yield "CORS_ALLOWED_ORIGINS must name origins, not '*'"
    yield from _unsafe_callers(settings)
    if not settings.DATABASE_URL:
        yield "DATABASE_URL must name a PostgreSQL server"
    if not settings.REDIS_URL:
        yield "REDIS_URL must name a Redis server"
    yield from _unsafe_kafka(settings)


def _unsafe_kafka(settings: Any) -> Iterator[str]:
    """Settings that would send a password in clear text, or that would have no effect."""
    if settings.KAFKA_SASL_MECHANISM and not settings.KAFKA_SSL:
        yield "KAFKA_SSL must be on where KAFKA_SASL_MECHANISM is set"
    if settings.KAFKA_SSL_CA and not settings.KAFKA_SSL:
        yield "KAFKA_SSL_CA needs KAFKA_SSL"
    for name in ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"):
        if getattr(settings, name) and not settings.KAFKA_SASL_MECHANISM:
            yield f"{name} needs KAFKA_SASL_MECHANISM"


MAX_PUBLIC_PERMISSIONS: Final = frozenset(
    {"booking:create", "booking:read", "booking:delete", "restaurant:read", "table:read"}
)
"""What callers without credentials may be allowed at most."""


def _unsafe_callers(settings: Any) -> Iterator[str]:
    for proxy in settings.TRUSTED_PROXIES:
        try:
            network = ip_network(proxy, strict=False)
        except ValueError:
            yield "TRUSTED_PROXIES must hold addresses or networks"
            continue
        if network.prefixlen == 0:
            yield "TRUSTED_PROXIES must not be everybody"
    if not MAX_PUBLIC_PERMISSIONS.issuperset(settings.PUBLIC_PERMISSIONS):
        yield f"PUBLIC_PERMISSIONS may hold no more than {', '.join(sorted(MAX_PUBLIC_PERMISSIONS))}"
    if not settings.RATE_LIMIT_MAX:
        yield "RATE_LIMIT_MAX must not be 0"


def refuse_unsafe(settings: Any) -> None:
    """Raise ImproperlyConfigured that names every unsafe setting; do nothing outside production."""
    if not settings.PRODUCTION:
        return
    if sentences := list(unsafe(settings)):
        raise ImproperlyConfigured("Refusing to start in production: " + "; ".join(sentences) + ".")
