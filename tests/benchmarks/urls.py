"""Views to measure beside the product's: an ApiView that does nothing, without and with a caller."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import path
from rest_framework.request import Request

from wokibrain.rest.views import ApiView, reply_json
from wokibrain.urls import urlpatterns as served


class Bare(ApiView):
    authentication_classes = []

    def get(self, request: Request) -> HttpResponse:
        return reply_json(b"{}")


class Known(ApiView):
    def get(self, request: Request) -> HttpResponse:
        return reply_json(b"{}")


urlpatterns = [path("bare", Bare.as_view()), path("known", Known.as_view()), *served]
handler404 = "wokibrain.rest.views.not_found"
