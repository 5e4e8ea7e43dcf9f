"""Where everything is. What operators look at is at the root too, beside the versioned API."""

from django.contrib import admin
from django.urls import include, path

from bookings.live import docs_pages as live_pages
from wokibrain.ops import health
from wokibrain.rest import docs_pages

outside = [
    path("health", health.health),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", health.prometheus),
    path("docs", docs_pages.docs),
    path("docs/redoc.js", docs_pages.redoc),
    path("docs/websockets", live_pages.websockets),
    path("openapi.json", docs_pages.openapi_json),
    path("openapi.yaml", docs_pages.openapi_yaml),
    path("asyncapi.json", live_pages.asyncapi_json),
    path("asyncapi.yaml", live_pages.asyncapi_yaml),
    path("postman.json", docs_pages.postman_json),
]

urlpatterns = [
    path("api/v1/", include("bookings.api.urls")),
    path("api/v1/", include("restaurants.api.urls")),
    path("api/v1/", include("wokibrain.access.api.urls")),
    path("api/v1/", include("webhooks.api.urls")),
    path("api/v1/", include(outside)),
    path("", include(outside)),
    path("admin/i18n/", include("django.conf.urls.i18n")),
    path("admin/floor/", include("bookings.floor.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "wokibrain.rest.views.bad_request"
handler403 = "wokibrain.office.error_pages.forbidden"
handler404 = "wokibrain.office.error_pages.not_found"
handler500 = "wokibrain.rest.views.server_error"
