from django.urls import path
from django.views.i18n import JavaScriptCatalog

from bookings.floor import pages, views

urlpatterns = [
    path("", pages.board, name="floor"),
    path("catalogue.js", JavaScriptCatalog.as_view(packages=["bookings"]), name="floor-catalogue"),
    path("sheet", pages.sheet, name="day-sheet"),
    path("export.csv", pages.export_csv, name="floor-csv"),
    path("export.ics", pages.export_ical, name="floor-ical"),
    path("token", views.token),
    path("data", views.day, name="floor-data"),
    path("search", views.search),
    path("suggest", views.suggest),
    path("bookings", views.create),
    path("walk-in", views.walk_in),
    path("bookings/<str:booking>", views.booking),
    path("bookings/<str:booking>/change", views.change),
    path("bookings/<str:booking>/undo", views.undo),
    path("bookings/<str:booking>/swap", views.swap),
    path("bookings/<str:booking>/reopen", views.reopen),
    path("bookings/<str:booking>/<str:act>", views.act),
    path("block", views.block),
    path("unblock", views.unblock),
    path("tables", views.tables),
]
