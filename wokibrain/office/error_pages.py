"""Error pages for people in a browser; programs get the API's error for the same."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from wokibrain.core import context
from wokibrain.core.errors import Forbidden
from wokibrain.rest import views

STALE: Final = _("This page was open for too long, or your browser does not accept its cookies.")
RELOAD: Final = _(
    "Go back, reload the page and try again. Copy what you typed first, so that it is not lost."
)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """settings.CSRF_FAILURE_VIEW: a request of a form or script without its token."""
    if not _for_people(request):
        return views.error_response(Forbidden(STALE), request)
    return _page(request, HTTPStatus.FORBIDDEN, STALE, RELOAD)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler403."""
    if not _for_people(request):
        return views.error_response(Forbidden(), request)
    return _page(
        request, HTTPStatus.FORBIDDEN, Forbidden.message, _("Ask your administrator if you need access.")
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404."""
    if not _for_people(request):
        return views.not_found(request, exception)
    return _page(request, HTTPStatus.NOT_FOUND, _("This page does not exist."), _("It may have moved."))


def _for_people(request: HttpRequest) -> bool:
    in_back_office = request.path_info.startswith(settings.BACK_OFFICE_PATHS)
    return in_back_office and "text/html" in request.headers.get("Accept", "")


def _page(
    request: HttpRequest, status: HTTPStatus, message: str | Promise, advice: str | Promise
) -> HttpResponse:
    page = {"message": message, "advice": advice, "request_id": context.current().request_id}
    return render(request, "admin/error.html", page, status=status)
