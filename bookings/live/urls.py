"""What HTTP answers about the live channel; the platform includes it beside its own documents."""

from django.urls import path

from bookings.live import docs_pages, plain_http

urlpatterns = [
    path("ws", plain_http.without_upgrade),
    path("ws/", plain_http.without_upgrade),
    path("docs/websockets", docs_pages.websockets),
    path("asyncapi.json", docs_pages.asyncapi_json),
    path("asyncapi.yaml", docs_pages.asyncapi_yaml),
]
