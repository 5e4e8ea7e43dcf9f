"""The floor board's pages, for people: the board itself, the day sheet, and the day as files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Final
from urllib.parse import quote, unquote

from csp.constants import SELF
from csp.decorators import csp_replace
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.views.decorators.http import require_GET

from bookings.floor import day_sheet
from bookings.floor.actions import actions_json, statuses_json
from bookings.floor.board import opening, restaurants
from bookings.floor.schemas import SheetQuery
from wokibrain.access.staff import is_staff
from wokibrain.core import clock
from wokibrain.core.errors import DomainError, UnknownZone
from wokibrain.office.actors import display_name
from wokibrain.office.base import caller_for
from wokibrain.rest.views import error_response, parse_query

MODULES: Final = tuple(
    f"floor/{name}.js"
    for name in (
        "actions", "booking-form", "bookings", "clock", "drawer", "forms", "i18n", "list", "live", "main", "page",
        "room-plan", "server", "store", "table-sets", "timeline", "timeline-drag", "timeline-keyboard", "toolbar", "ui",
    )
)  # fmt: skip
"""What the board's page fetches at once; a browser would find them only one level of imports after the other."""

LAST_CHOSEN: Final = "floor_restaurant"
"""The cookie that holds the id of the restaurant which this browser's people chose last."""
LAST_CHOSEN_LIFETIME: Final = timedelta(days=365)

View = Callable[..., HttpResponseBase]
ONLY_OWN_FILES: Final = {"script-src": [SELF], "style-src": [SELF]}
"""A stricter policy than the admin's, whose theme needs inline code and eval."""


def page(view: View) -> View:
    """Send people who are not signed in to the sign-in page, and back from there; let nothing keep the page."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_staff(request.user):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response

    return require_GET(inner)


@page
@csp_replace(ONLY_OWN_FILES)
def board(request: HttpRequest) -> HttpResponseBase:
    visible = restaurants(caller_for(request))
    asked_for = request.GET.get("restaurant")
    if asked_for:
        chosen = next((restaurant for restaurant in visible if restaurant.pk == asked_for), None)
    else:
        chosen = opening(visible, unquote(request.COOKIES.get(LAST_CHOSEN, "")))
    if visible and chosen is None:
        return HttpResponseRedirect(reverse("floor"))
    page_data = {
        "restaurant": chosen.pk if chosen else "",
        "me": display_name(request.user),  # type: ignore[arg-type]
        "user": request.user.pk,
        "language": get_language(),
        "urls": {"floor": reverse("floor"), "login": reverse("admin:login"), "admin": reverse("admin:index")},
        "statuses": statuses_json(),
        "actions": actions_json(),
    }
    context = {
        "restaurants": visible,
        "chosen": chosen,
        "page_data": page_data,
        "modules": MODULES,
        "unknown_zone": chosen and not clock.is_known_zone(chosen.zone) and UnknownZone(chosen.zone).detail,
    }
    response = render(request, "floor/board.html", context)
    if asked_for and chosen:
        # A cookie rather than the session, which ends every night with the sign-out.
        response.set_cookie(
            LAST_CHOSEN,
            quote(chosen.pk),
            max_age=LAST_CHOSEN_LIFETIME,
            path=reverse("floor"),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response


@page
@csp_replace(ONLY_OWN_FILES)
def sheet(request: HttpRequest) -> HttpResponseBase:
    """The list that a host prints before service."""
    try:
        query, sheet = _read_sheet(request)
    except DomainError as error:
        return error_response(error, request)
    return render(request, "floor/day_sheet.html", {"sheet": sheet, "by": query.by})


def download(write: Callable[[day_sheet.Sheet], str], content_type: str, extension: str) -> View:
    """Return a view that gives the day sheet as a file."""

    @page
    def inner(request: HttpRequest) -> HttpResponseBase:
        try:
            query, sheet = _read_sheet(request)
        except DomainError as error:
            return error_response(error, request)
        response = HttpResponse(write(sheet), content_type=f"{content_type}; charset=utf-8")
        name = f"{query.restaurant}-{sheet.date.isoformat()}.{extension}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    return inner


export_csv = download(day_sheet.as_csv, "text/csv", "csv")
export_ical = download(day_sheet.as_ical, "text/calendar", "ics")


def _read_sheet(request: HttpRequest) -> tuple[SheetQuery, day_sheet.Sheet]:
    query = parse_query(SheetQuery, request)
    sheet = day_sheet.read(
        caller=caller_for(request), restaurant_id=query.restaurant, service_date=query.day()
    )
    return query, sheet
