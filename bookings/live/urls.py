"""The pages that document the live channel; the platform includes them beside its own documents."""

from django.urls import path

from bookings.live import docs_pages

urlpatterns = [
    path("docs/websockets", docs_pages.websockets),
    path("asyncapi.json", docs_pages.asyncapi_json),
    path("asyncapi.yaml", docs_pages.asyncapi_yaml),
]
