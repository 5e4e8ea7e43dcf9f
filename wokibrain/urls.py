"""Where everything is. What operators look at is at the root too, beside the versioned API."""

from django.contrib import admin
from django.urls import include, path

from wokibrain import pages

outside = [
    path("health", pages.health),
    path("health/live", pages.live),
    path("health/ready", pages.ready),
    path("metrics", pages.prometheus),
    path("docs", pages.docs),
    path("docs/redoc.js", pages.redoc),
    path("docs/websockets", pages.websockets),
    path("openapi.json", pages.openapi_json),
    path("openapi.yaml", pages.openapi_yaml),
    path("asyncapi.json", pages.asyncapi_json),
    path("asyncapi.yaml", pages.asyncapi_yaml),
    path("postman.json", pages.postman_json),
]

urlpatterns = [
    path("api/v1/", include("bookings.api.urls")),
    path("api/v1/", include("restaurants.api.urls")),
    path("api/v1/", include("wokibrain.access.api.urls")),
    path("api/v1/", include("webhooks.api.urls")),
    path("api/v1/", include(outside)),
    path("", include(outside)),
    path("admin/i18n/", include("django.conf.urls.i18n")),
    path("admin/floor/", include("wokibrain.backoffice.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "wokibrain.rest.bad_request"
handler403 = "wokibrain.backoffice.refusals.forbidden"
handler404 = "wokibrain.backoffice.refusals.not_found"
handler500 = "wokibrain.rest.server_error"
