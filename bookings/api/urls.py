from django.urls import path

from bookings.api import analytics, blocks, seed, views

urlpatterns = [
    path("restaurants/<str:restaurant>/analytics", analytics.AnalyticsView.as_view()),
    path("tables/<str:table>/blocks", blocks.BlocksView.as_view()),
    path("admin/seed", seed.SeedView.as_view()),
    path("woki/discover", views.DiscoverView.as_view()),
    path("woki/bookings", views.BookingsView.as_view()),
    path("woki/bookings/<str:booking>", views.BookingView.as_view()),
    path("woki/bookings/<str:booking>/history", views.HistoryView.as_view()),
    path("woki/bookings/<str:booking>/seat", views.SeatView.as_view()),
    path("woki/bookings/<str:booking>/complete", views.CompleteView.as_view()),
    path("woki/bookings/<str:booking>/no-show", views.NoShowView.as_view()),
    path("woki/bookings/<str:booking>/reopen", views.ReopenView.as_view()),
]
