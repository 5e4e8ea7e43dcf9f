"""Secrets, hosts, cross-origin access, TLS, passwords and tokens."""

from datetime import timedelta
from typing import Any

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

from wokibrain.core import env
from wokibrain.settings.base import ENVIRONMENT, PRODUCTION

# For development only: production refuses these defaults (see wokibrain.ops.production_checks).
SECRET_KEY = env.text("SECRET_KEY", "development-only-secret-key-change-me")
SECRET_KEY_FALLBACKS = env.items("SECRET_KEY_FALLBACKS")
"""Earlier values of SECRET_KEY, whose signatures and hashes stay valid."""
JWT_SECRET = env.text("JWT_SECRET", "development-only-jwt-secret-change-me")
ADMIN_SECRET = env.text("ADMIN_SECRET", "development-only-admin-secret")

ALLOWED_HOSTS = env.items(
    "ALLOWED_HOSTS", [] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]", "testserver"]
)
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS")
CSRF_FAILURE_VIEW = "wokibrain.office.error_pages.csrf_failure"
TRUSTED_PROXIES = env.items("TRUSTED_PROXIES")
"""Addresses or networks of proxies whose X-Forwarded-For is believed."""

CORS_ALLOWED_ORIGINS = [origin for origin in env.items("CORS_ALLOWED_ORIGINS") if origin != "*"]
CORS_ALLOW_ALL_ORIGINS = "*" in env.items("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = (
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "idempotency-key",
    "traceparent",
    "x-api-key",
    "x-request-id",
)
CORS_EXPOSE_HEADERS = (
    "idempotent-replayed",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "x-request-id",
)

AUTHENTICATION_BACKENDS = ["wokibrain.access.backends.GuardedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
if ENVIRONMENT == "test":
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CREDENTIAL_TTL_MS = env.integer("CREDENTIAL_TTL_MS", 1_000, minimum=0, maximum=60_000)
"""How long a process trusts a credential before it reads it from the database again."""
SIMPLE_JWT: dict[str, Any] = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SECRET,
    "ISSUER": "wokibrain",
    "AUDIENCE": "wokibrain-api",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
}

# A proxy in front ends TLS; TLS=0 declares that there is none and that plain HTTP is meant.
TLS = env.flag("TLS", PRODUCTION)
SECURE_SSL_REDIRECT = False
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS else None
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
# Both also bind other hosts of the domain, and browsers remember for a long time: off unless the operator opts in.
SECURE_HSTS_INCLUDE_SUBDOMAINS = TLS and env.flag("HSTS_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD = TLS and env.flag("HSTS_PRELOAD", False)
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # Unfold's pages use Alpine, which compiles the expressions in its attributes (UNSAFE_EVAL). An inline script
        # needs request.csp_nonce; scripts from other hosts are blocked.
        "script-src": [SELF, NONCE, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
"""The back office's policy; wokibrain.middleware and wokibrain.rest.docs_pages set those of other pages."""

SILENCED_SYSTEM_CHECKS = [
    # These look into MIDDLEWARE only; BackOfficeMiddleware runs the ones they miss for its own paths. The API uses no
    # cookies that a page could forge requests with, and its Content-Security-Policy forbids framing.
    "admin.E408", "admin.E409", "admin.E410", "security.W002", "security.W003",
    # The proxy that ends TLS redirects to HTTPS: a redirect from here would come after the secret was sent.
    "security.W008",
    # HSTS for subdomains and preloading are off unless the operator opts in.
    "security.W005", "security.W021",
]  # fmt: skip
