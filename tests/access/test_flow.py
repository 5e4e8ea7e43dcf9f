import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient
from bookings import seed
from wokibrain.access.models import *

@pytest.mark.django_db
def test_x(settings):
    seed.example()
    User.objects.create_superuser("ana", password="secret-enough")
    c = APIClient()
    r = c.post("/api/v1/auth/login", {"username": "ana", "password": "secret-enough"}, format="json"); print(r.status_code, r.content)
    t = r.json()
    r = c.post("/api/v1/auth/login", {"username": "ana", "password": "x"}, format="json"); print(r.status_code, r.content)
    settings.RATE_LIMIT_MAX = 3
    for _ in range(5):
        r = c.get("/api/v1/woki/bookings/B1", HTTP_AUTHORIZATION="Bearer " + t["accessToken"]); print(r.status_code, r.headers)
    settings.RATE_LIMIT_MAX = 0
    r = c.post("/api/v1/auth/refresh", {"refreshToken": t["refreshToken"]}, format="json"); print(r.status_code, r.content)
    r = c.post("/api/v1/auth/refresh", {"refreshToken": t["refreshToken"]}, format="json"); print(r.status_code, r.content)
    r = c.get("/api/v1/woki/bookings/B1", HTTP_AUTHORIZATION="Bearer " + t["accessToken"]); print(r.status_code)
    from django.core.management import call_command
    call_command("apikey", "create", "x", "--restaurant", "R1", "--scope", "booking:read")
    call_command("apikey", "list")
