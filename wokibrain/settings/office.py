"""The back office: its middleware and its looks."""

from typing import Any

from django.utils.translation import gettext_lazy as _

BACK_OFFICE_PATHS = ("/admin",)
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
"""Only browsers need sessions, languages and CSRF tokens; requests to the API skip their cost."""
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"

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
