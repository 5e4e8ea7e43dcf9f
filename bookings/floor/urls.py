from django.urls import path

from bookings.floor import views

urlpatterns = [
    path("", views.board, name="floor"),
    path("data", views.day, name="floor-data"),
    path("token", views.token),
    path("search", views.search),
    path("suggest", views.suggest),
    path("bookings", views.create),
    path("walk-in", views.walk_in),
    path("bookings/<str:booking>", views.booking),
    path("bookings/<str:booking>/change", views.change),
    path("bookings/<str:booking>/undo", views.take_back),
    path("bookings/<str:booking>/swap", views.swap),
    path("bookings/<str:booking>/<str:act>", views.act),
    path("block", views.block),
    path("unblock", views.unblock),
    path("tables", views.spots),
    path("sheet", views.day_sheet, name="day-sheet"),
    path("export.csv", views.as_csv, name="floor-csv"),
    path("export.ics", views.as_ical, name="floor-ical"),
]
