from django.urls import path

from restaurants.api import setup, views

urlpatterns = [
    path("restaurants", views.RestaurantsView.as_view()),
    path("restaurants/<str:restaurant>", views.RestaurantView.as_view()),
    path("restaurants/<str:restaurant>/sectors", views.RestaurantSectorsView.as_view()),
    path("sectors/<str:sector>", views.SectorView.as_view()),
    path("sectors/<str:sector>/tables", views.SectorTablesView.as_view()),
    path("tables", views.TablesView.as_view()),
    path("tables/<str:table>", views.TableView.as_view()),
    path("admin/info", setup.InfoView.as_view()),
    path("admin/restaurants", setup.RestaurantsView.as_view()),
    path("admin/sectors", setup.SectorsView.as_view()),
    path("admin/tables", setup.TablesView.as_view()),
]
