"""The REST API: its limits, Django REST framework, OpenAPI."""

from typing import Any

from wokibrain.core import env
from wokibrain.settings.base import PRODUCTION, VERSION

PUBLIC_PERMISSIONS = env.items(
    "PUBLIC_PERMISSIONS", [] if PRODUCTION else ["booking:create", "booking:read", "booking:delete"]
)
"""The permissions of callers without credentials, at every restaurant."""
RATE_LIMIT_MAX = env.integer("RATE_LIMIT_MAX", 100, minimum=0)
"""Requests a minute for each caller and endpoint; 0 for no limit."""
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
"""The largest body in bytes, form uploads included."""
MAX_BODY_BYTES = env.integer("MAX_BODY_BYTES", 65_536, minimum=1_024)
"""The largest JSON body the API reads."""
MAX_JSON_DEPTH = 32
"""Levels of arrays and objects in a JSON body."""

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
