"""Every address of the product; an app is included by name, so that the platform imports none."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from wokibrain.office.sign_in import sign_in
from wokibrain.ops import health
from wokibrain.rest import docs_pages

# Operators and readers look for these at the root; integrators find them under the API's base path too.
operations_and_documents: list[URLPattern | URLResolver] = [
    path("health", health.health),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", health.prometheus),
    path("docs", docs_pages.docs),
    path("docs/redoc.js", docs_pages.redoc),
    path("openapi.json", docs_pages.openapi_json),
    path("openapi.yaml", docs_pages.openapi_yaml),
    path("postman.json", docs_pages.postman_json),
    path("", include("bookings.live.urls")),
]

urlpatterns = [
    path("api/v1/", include("bookings.api.urls")),
    path("api/v1/", include("restaurants.api.urls")),
    path("api/v1/", include("wokibrain.access.api.urls")),
    path("api/v1/", include("webhooks.api.urls")),
    path("api/v1/", include(operations_and_documents)),
    path("", include(operations_and_documents)),
    path("admin/i18n/", include("django.conf.urls.i18n")),
    path("admin/floor/", include("bookings.floor.urls")),
    path("admin/login/", sign_in),
    path("admin/", admin.site.urls),
]

handler400 = "wokibrain.rest.views.bad_request"
handler403 = "wokibrain.office.error_pages.forbidden"
handler404 = "wokibrain.office.error_pages.not_found"
handler500 = "wokibrain.rest.views.server_error"
