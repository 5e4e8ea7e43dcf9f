from django.urls import path

from webhooks.api import views

urlpatterns = [
    path("webhooks", views.WebhooksView.as_view()),
    path("webhooks/<str:webhook>", views.WebhookView.as_view()),
    path("webhooks/<str:webhook>/rotate-secret", views.RotateSecretView.as_view()),
    path("webhooks/<str:webhook>/test", views.TestView.as_view()),
    path("webhooks/<str:webhook>/deliveries", views.DeliveriesView.as_view()),
    path("webhooks/<str:webhook>/deliveries/<str:delivery>/redeliver", views.RedeliverView.as_view()),
    path("webhooks/<str:webhook>/recover", views.RecoverView.as_view()),
]
