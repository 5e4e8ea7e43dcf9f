"""Applications, middleware, templates, languages, static files and logs."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from wokibrain.core import env, logs, zones

ROOT = env.ROOT
ENVIRONMENT = env.environment()
PRODUCTION = ENVIRONMENT == "production"
VERSION = "1.0.0"
ZONE_RELEASE = zones.release()
"""The release of the time-zone rules, e.g. "2026f"."""

DEBUG = env.flag("DEBUG", False)

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
    # Last: it replaces other apps' registrations with the admin site.
    "wokibrain.office",
]

MIDDLEWARE = [
    "wokibrain.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "wokibrain.middleware.BackOfficeMiddleware",
]

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

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("es", _("Spanish"))]
LOCALE_PATHS = [ROOT / "wokibrain" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = env.data_dir() / "static"
if not PRODUCTION:
    # Development collects no static files, and whitenoise warns about a folder that does not exist.
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = not PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "wokibrain.server.static_files.HashedStaticFiles"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

WEB_THREADS = env.integer("WEB_THREADS", 2, minimum=1, maximum=64)
"""Requests that a process of the web server runs at the same time."""
METRICS_DIR = env.data_dir() / "metrics"
"""Holds a file for each process of the web server; /metrics adds them up."""

LOGGING: dict[str, Any] = logs.configuration(
    env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    env.choice("LOG_FORMAT", "json" if PRODUCTION else "line", ("json", "line")),
)
LOG_REQUESTS = env.flag("LOG_REQUESTS", PRODUCTION)
"""Log a line for every request; server errors are logged in any case."""
