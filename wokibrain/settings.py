"""Settings, all of them from the environment; see .env.example for what each one means."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.utils.translation import gettext_lazy as _
from redis.backoff import NoBackoff
from redis.retry import Retry

from wokibrain import embedded
from wokibrain.core import env, logs

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = env.environment()
PRODUCTION = ENVIRONMENT == "production"
VERSION = "1.0.0"

DEBUG = env.flag("DEBUG", False)
# Defaults that production refuses (see checks.py); good enough to try the product on one's own machine.
SECRET_KEY = env.text("SECRET_KEY", "development-only-secret-key-change-me")
SECRET_KEY_FALLBACKS = env.items("SECRET_KEY_FALLBACKS")
"""Former ones: what was signed or kept with them stays good."""
JWT_SECRET = env.text("JWT_SECRET", "development-only-jwt-secret-change-me")
ADMIN_SECRET = env.text("ADMIN_SECRET", "development-only-admin-secret")
ALLOWED_HOSTS = env.items(
    "ALLOWED_HOSTS", [] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]", "testserver"]
)
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS")
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

PUBLIC_PERMISSIONS = env.items(
    "PUBLIC_PERMISSIONS", [] if PRODUCTION else ["booking:create", "booking:read", "booking:delete"]
)
"""What a caller without credentials may do, everywhere."""
CREDENTIAL_TTL_MS = env.integer("CREDENTIAL_TTL_MS", 1_000, minimum=0, maximum=60_000)
"""How long a process believes in a credential before it asks the database again."""
RATE_LIMIT_MAX = env.integer("RATE_LIMIT_MAX", 100, minimum=0)
"""Requests a minute, of one caller at one endpoint; 0 for no limit."""
TRUSTED_PROXIES = env.items("TRUSTED_PROXIES")
"""Addresses or networks whose X-Forwarded-For is believed."""
AUTHENTICATION_BACKENDS = ["wokibrain.access.backends.GuardedBackend"]
SIMPLE_JWT: dict[str, Any] = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SECRET,
    "ISSUER": "wokibrain",
    "AUDIENCE": "wokibrain-api",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
}

INSTALLED_APPS = [
    "wokibrain",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "channels",
    "waffle",
    "wokibrain.events",
    "wokibrain.access",
    "wokibrain.idempotency",
    "restaurants",
    "bookings",
    "webhooks",
    # After those whose models it registers anew.
    "wokibrain.office",
]

MIDDLEWARE = [
    "wokibrain.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "wokibrain.middleware.BackOfficeMiddleware",
]
BACK_OFFICE_MIDDLEWARE = [
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
"""Sessions, languages and CSRF are for people in a browser; the API path does not pay for them."""
BACK_OFFICE_PATHS = ("/admin",)
CSRF_FAILURE_VIEW = "wokibrain.office.error_pages.csrf_failure"
SILENCED_SYSTEM_CHECKS = [
    # These look in MIDDLEWARE itself; BackOfficeMiddleware runs them for its paths. The API has no
    # cookies to forge requests with, and a Content-Security-Policy that nothing may frame.
    "admin.E408", "admin.E409", "admin.E410", "security.W002", "security.W003",
    # Redirecting to HTTPS is for the proxy that ends TLS: here a redirect would come after the secret.
    "security.W008",
    # Whether HSTS is for subdomains too, and preloaded, are settings that are off unless asked for.
    "security.W005", "security.W021",
]  # fmt: skip

ROOT_URLCONF = "wokibrain.urls"
WSGI_APPLICATION = "wokibrain.asgi.wsgi"
ASGI_APPLICATION = "wokibrain.asgi.application"
LIVE_APPLICATION = "bookings.live.endpoint.application"
"""The ASGI application that serves WebSockets at /ws/."""
APPEND_SLASH = True

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASE_URL = env.text("DATABASE_URL") or ("" if PRODUCTION else embedded.database_url())
REDIS_URL = env.text("REDIS_URL") or ("" if PRODUCTION else embedded.redis_url())

BROKER_URL = env.text("BROKER_URL")
"""The Redis of Celery's queues; empty, and it is the database after REDIS_URL's."""

DATABASES: dict[str, dict[str, Any]] = {"default": {}}
if DATABASE_URL:
    DATABASES["default"] = env.database(
        DATABASE_URL,
        {
            "application_name": "wokibrain",
            "connect_timeout": 2,
            "options": "-c statement_timeout=15s -c idle_in_transaction_session_timeout=60s",
        },
    )
    DATABASES["default"] |= {
        "ENGINE": "wokibrain.postgres",
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
    # Django's and psycopg's, which a URL has no word for.
    DATABASES["default"]["OPTIONS"] |= {"server_side_binding": True, "prepare_threshold": 3}

REDIS_TIMEOUT_MS = env.integer("REDIS_TIMEOUT_MS", 100, minimum=1)
"""How long a request waits for one answer of Redis before it goes on without."""
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL or "redis://unset",
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": REDIS_TIMEOUT_MS / 1000,
            "SOCKET_TIMEOUT": REDIS_TIMEOUT_MS / 1000,
            "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0)},
        },
    },
}

CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL or "redis://unset"], "prefix": "wokibrain"},
    }
}
"""How events reach the sockets of other processes; what it drops, a reconnecting board catches up."""

LIVE_ANNOUNCE_SECONDS = env.seconds("LIVE_ANNOUNCE_SECONDS", 20, minimum=0.1)
"""How often a process says which boards are open in it; after two and a half times that in silence they are gone."""
LIVE_RECHECK_SECONDS = env.seconds("LIVE_RECHECK_SECONDS", 30, minimum=0.1)
"""How long a socket may still hear after its key was revoked, its token ran out or its person was let go."""

KAFKA_BROKERS = env.text("KAFKA_BROKERS")
"""Comma-separated host:port; empty, and the relay feeds the consumers itself."""
KAFKA_SSL = env.flag("KAFKA_SSL", False)
KAFKA_SSL_CA = env.text("KAFKA_SSL_CA")
KAFKA_SASL_MECHANISM = env.choice("KAFKA_SASL_MECHANISM", "", ("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"))
KAFKA_SASL_USERNAME = env.text("KAFKA_SASL_USERNAME")
KAFKA_SASL_PASSWORD = env.text("KAFKA_SASL_PASSWORD")
KAFKA_PARTITIONS = env.integer("KAFKA_PARTITIONS", 6, minimum=1)
"""Of topics that are made here; one that exists keeps its own."""
EVENTS_REDRIVE_SECONDS = env.seconds("EVENTS_REDRIVE_SECONDS", 60, minimum=1)
"""After how long an event that was handed on and that nobody took is handed on again."""
EVENTS_RETRY_SECONDS = env.seconds("EVENTS_RETRY_SECONDS", 1, minimum=0.01)
"""The pause after a consumer's first failure with an event; it doubles each time."""

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
if ENVIRONMENT == "test":
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("es", _("Spanish"))]
LOCALE_PATHS = [ROOT / "wokibrain" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = env.data_dir() / "static"
if not PRODUCTION:
    # Nothing is collected into it in development, and whitenoise warns of a folder that is not there.
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = not PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Behind a proxy that ends TLS; a deployment without one sets TLS=0 and says so with that.
TLS = env.flag("TLS", PRODUCTION)
SECURE_SSL_REDIRECT = False
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS else None
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
# What binds other hosts of the domain, and for as long as browsers ship their lists, is for its owner to decide.
SECURE_HSTS_INCLUDE_SUBDOMAINS = TLS and env.flag("HSTS_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD = TLS and env.flag("HSTS_PRELOAD", False)
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # Unfold's pages are written for Alpine, which compiles the expressions in its attributes; an
        # inline script needs request.csp_nonce, and a script from elsewhere cannot be had.
        "script-src": [SELF, NONCE, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
"""The back-office's; wokibrain.middleware and wokibrain.rest.docs_pages have those of everything else."""

WEB_THREADS = env.integer("WEB_THREADS", 2, minimum=1, maximum=64)
"""How many requests a process of the web server runs at a time."""
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
MAX_BODY_BYTES = env.integer("MAX_BODY_BYTES", 65_536, minimum=1_024)
"""The largest JSON body the API reads."""
MAX_JSON_DEPTH = 32
"""How deep its arrays and objects may be nested."""

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "WokiBrain",
    "SITE_HEADER": "WokiBrain",
    "SITE_SUBHEADER": _("Back office"),
    "SITE_SYMBOL": "table_restaurant",
    "SITE_URL": "/admin/floor/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/floor/icon.svg"}],
    "SHOW_LANGUAGES": True,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "9px",
    "DASHBOARD_CALLBACK": "bookings.admin.dashboard.callback",
    "STYLES": ["wokibrain.office.menu.stylesheet"],
    "LOGIN": {"form": "wokibrain.office.sign_in.SignInForm"},
    "COLORS": {
        "primary": {
            "50": "#effaf6", "100": "#d8f1e8", "200": "#b4e2d3", "300": "#83ccb8", "400": "#4fb098",
            "500": "#2c937d", "600": "#0f6b5c", "700": "#0d5d50", "800": "#0e4a41", "900": "#0d3d36",
            "950": "#06231f",
        },
    },
    "SIDEBAR": {"show_search": True, "navigation": "wokibrain.office.menu.navigation"},
}  # fmt: skip

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_RENDERER_CLASSES": ["wokibrain.rest.json.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["wokibrain.rest.json.JsonParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["wokibrain.access.authentication.CredentialAuthentication"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "wokibrain.rest.json.Negotiation",
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "wokibrain.rest.views.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "WokiBrain",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SCHEMA_PATH_PREFIX_TRIM": False,
    "POSTPROCESSING_HOOKS": ["wokibrain.rest.openapi.finish"],
    "REDOC_DIST": "SIDECAR",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

GUEST_RETENTION_DAYS = env.integer("GUEST_RETENTION_DAYS", 0, minimum=0)
"""A guest whose last visit is longer ago is erased by `manage.py tidy`; 0 keeps them."""

# Locks and idempotency (bookings).
LOCK_TTL_MS = env.integer("LOCK_TTL_MS", 5_000, minimum=100)
LOCK_WAIT_MS = env.integer("LOCK_WAIT_MS", 5_000, minimum=0)
DAY_CACHE = env.flag("DAY_CACHE", True)
"""Whether discover and list keep what they worked out; off, they work it out each time."""
REDIS_COOL_DOWN_MS = env.integer("REDIS_COOL_DOWN_MS", 1_000, minimum=1)
"""How long Redis is left alone after it failed to answer; up to eight times that while it goes on failing."""

# Webhooks. Durations in the names' own units.
WEBHOOK_SECRET_KEYS = env.items("WEBHOOK_SECRET_KEYS", ["development-only-webhook-secret-key"])
"""What secrets are encrypted with at rest: the first encrypts, all decrypt."""
WEBHOOK_ALLOW_PRIVATE = env.flag("WEBHOOK_ALLOW_PRIVATE", False)
"""Deliver to this machine and to private networks too; for development, refused in production."""
WEBHOOK_TIMEOUT_SECONDS = env.seconds("WEBHOOK_TIMEOUT_SECONDS", 10, minimum=0.1, maximum=60)
WEBHOOK_QUICK_ATTEMPTS = env.numbers("WEBHOOK_QUICK_ATTEMPTS", [0, 1, 2, 4])
"""When the first attempts are due, in seconds from the first one."""
WEBHOOK_RETRY_PAUSES = env.numbers(
    "WEBHOOK_RETRY_PAUSES", [300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
)
"""How many seconds to wait after each attempt from then on, +-20 %."""
WEBHOOK_CONCURRENCY = env.integer("WEBHOOK_CONCURRENCY", 10, minimum=1, maximum=100)
"""How many deliveries to one webhook are under way at a time."""
WEBHOOK_BREAKER_FAILURES = env.integer("WEBHOOK_BREAKER_FAILURES", 5, minimum=1)
"""After so many failures in a row an endpoint is only probed, one delivery at a time."""
WEBHOOK_BREAKER_SECONDS = env.seconds("WEBHOOK_BREAKER_SECONDS", 5, minimum=0.1)
"""Between the first two probes; doubles up to a minute."""
WEBHOOK_PUMPS_MOST = 16
WEBHOOK_PUMPS = env.integer("WEBHOOK_PUMPS", 1, minimum=1, maximum=WEBHOOK_PUMPS_MOST)
"""How many workers send at the same time, over all processes and hosts; each takes up a thread of its process."""
WEBHOOK_GRACE_HOURS = env.seconds("WEBHOOK_GRACE_HOURS", 24)
WEBHOOK_HOLD_HOURS = env.seconds("WEBHOOK_HOLD_HOURS", 72)
WEBHOOK_FAILING_HOURS = env.seconds("WEBHOOK_FAILING_HOURS", 120)
WEBHOOK_RETENTION_DAYS = env.integer("WEBHOOK_RETENTION_DAYS", 30, minimum=1)
WEBHOOK_LIMIT = env.integer("WEBHOOK_LIMIT", 100, minimum=1)
"""How many webhooks a restaurant may have."""

METRICS_DIR = env.data_dir() / "metrics"
"""One file a process of the web server, added up when /metrics is asked."""

LOGGING: dict[str, Any] = logs.configuration(
    env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    env.choice("LOG_FORMAT", "json" if PRODUCTION else "line", ("json", "line")),
)
LOG_REQUESTS = env.flag("LOG_REQUESTS", PRODUCTION)
"""A line for each request; one that fails on our side has one anyway."""
