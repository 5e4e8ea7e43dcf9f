from django.urls import path

from restaurants.api import setup

urlpatterns = [
    path("admin/info", setup.InfoView.as_view()),
    path("admin/restaurants", setup.RestaurantsView.as_view()),
    path("admin/sectors", setup.SectorsView.as_view()),
    path("admin/tables", setup.TablesView.as_view()),
]
