"""P17: forged, expired and wrong kinds of tokens are refused, and refresh tokens work once."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings
from rest_framework.test import APIClient

from wokibrain.access import credentials, password_guard, sessions, tokens
from wokibrain.access.models import LoginSession, Membership
from wokibrain.core import clock
from wokibrain.core.errors import Unauthorized
from wokibrain.core.permissions import Role

AUTH = "/api/v1/auth"
GUARDED = "/api/v1/restaurants"
PASSWORD = "a-long-password"


@pytest.fixture
def user(example: None) -> User:
    user = User.objects.create_user("ana", password=PASSWORD)
    Membership.objects.create(user=user, restaurant_id="R1", role=Role.MANAGER)
    return user


def post(path: str, body: dict[str, Any], **headers: Any) -> Any:
    return APIClient().post(f"{AUTH}/{path}", body, format="json", **headers)


def signed_in() -> dict[str, Any]:
    response = post("login", {"username": "ana", "password": PASSWORD})
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


def status_with(token: str) -> int:
    return int(APIClient().get(GUARDED, HTTP_AUTHORIZATION=f"Bearer {token}").status_code)


def test_a_token_session_from_sign_in_to_sign_out(user: User) -> None:
    first = signed_in()
    assert (first["tokenType"], first["expiresIn"]) == ("Bearer", 900)
    assert status_with(first["accessToken"]) == 200
    second = post("refresh", {"refreshToken": first["refreshToken"]})
    assert second.status_code == 200
    assert second["Cache-Control"] == "no-store"
    assert post("logout", {"refreshToken": second.json()["refreshToken"]}).status_code == 204
    assert status_with(second.json()["accessToken"]) == 401
    assert post("refresh", {"refreshToken": second.json()["refreshToken"]}).status_code == 401


def test_a_token_has_the_contracts_claims(user: User) -> None:
    body = signed_in()
    for name, kind, life in (("accessToken", "access", 900), ("refreshToken", "refresh", 604_800)):
        header = jwt.get_unverified_header(body[name])
        claims = jwt.decode(body[name], options={"verify_signature": False})
        assert header["alg"] == "HS256"
        assert (claims["iss"], claims["aud"], claims["token_type"]) == ("wokibrain", "wokibrain-api", kind)
        assert claims["exp"] - claims["iat"] == life


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forgeries(session: LoginSession) -> dict[str, str]:
    """Return tokens that each break one rule; ``good`` breaks none, so the others fail for their own reason."""
    now = int(time.time())
    claims = {
        "token_type": "access", "exp": now + 900, "iat": now, "jti": "x", "sub": str(session.user_id),
        "sid": str(session.pk), "iss": "wokibrain", "aud": "wokibrain-api",
        "pwd": session.user.get_session_auth_hash()[:32],
    }  # fmt: skip
    secret = settings.JWT_SECRET

    def signed(changes: dict[str, Any], key: str = secret, algorithm: str = "HS256") -> str:
        payload = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(payload, key, algorithm=algorithm)

    head, body, signature = signed({}).split(".")
    return {
        "good": signed({}),
        "alg none": f"{_part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "alg none, signed": f"{_part({'alg': 'none', 'typ': 'JWT'})}.{body}.{signature}",
        "alg NONE": f"{_part({'alg': 'NONE'})}.{body}.{signature}",
        "HS512": signed({}, algorithm="HS512"),
        "HS384": signed({}, algorithm="HS384"),
        "said to be RS256": f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{body}.{signature}",
        "no signature": f"{head}.{body}.",
        "other key": signed({}, key="another-secret-of-at-least-thirty-two"),
        "one-letter key": signed({}, key="x"),
        "Django's key": signed({}, key=settings.SECRET_KEY),
        "changed body": f"{head}.{_part(claims | {'sub': '999'})}.{signature}",
        "other audience": signed({"aud": "someone-else"}),
        "no audience": signed({"aud": None}),
        "other issuer": signed({"iss": "someone-else"}),
        "no issuer": signed({"iss": None}),
        "expired": signed({"exp": now - 1}),
        "no expiry": signed({"exp": None}),
        "not yet": signed({"nbf": now + 600}),
        "refresh": signed({"token_type": "refresh"}),
        "no type": signed({"token_type": None}),
        "no session": signed({"sid": None}),
        "another's session": signed({"sub": str(session.user_id + 1)}),
        "session that is not one": signed({"sid": "x"}),
        "list for a session": signed({"sid": ["x"]}),
        "other password": signed({"pwd": "0" * 32}),
        "no password": signed({"pwd": None}),
        "number for a password": signed({"pwd": 7}),
        "rubbish": "eyJ.eyJ.x",
        "empty": "eyJhbGciOiJIUzI1NiJ9..",
    }


def test_forged_tokens_are_refused(user: User) -> None:
    signed_in()
    statuses = {name: status_with(token) for name, token in forgeries(LoginSession.objects.get()).items()}
    assert statuses == dict.fromkeys(statuses, 401) | {"good": 200}


def test_refresh_and_access_tokens_are_not_interchangeable(user: User) -> None:
    body = signed_in()
    assert status_with(body["refreshToken"]) == 401
    assert post("refresh", {"refreshToken": body["accessToken"]}).status_code == 401
    assert post("logout", {"refreshToken": body["accessToken"]}).status_code == 401
    assert status_with(body["accessToken"]) == 200


def test_a_reused_refresh_token_ends_its_family(user: User) -> None:
    other = signed_in()
    first = signed_in()
    second = post("refresh", {"refreshToken": first["refreshToken"]}).json()
    assert post("refresh", {"refreshToken": first["refreshToken"]}).status_code == 401
    assert post("refresh", {"refreshToken": second["refreshToken"]}).status_code == 401
    assert status_with(second["accessToken"]) == 401
    assert status_with(other["accessToken"]) == 200


def refresh_concurrently(token: str, count: int) -> list[str]:
    """Send ``count`` concurrent refreshes of one token; return the new refresh tokens."""

    def one(_: int) -> str | None:
        try:
            return sessions.refresh(token=token).refresh
        except Unauthorized:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return [fresh for fresh in pool.map(one, range(count)) if fresh]


@pytest.mark.django_db(transaction=True)
def test_of_twenty_concurrent_refreshes_one_succeeds(user: User) -> None:
    token = signed_in()["refreshToken"]
    (fresh,) = refresh_concurrently(token, 20)
    # The nineteen were reuse.
    with pytest.raises(Unauthorized):
        sessions.refresh(token=fresh)
    assert LoginSession.objects.get().ended_at is not None


@pytest.mark.django_db(transaction=True)
def test_canary_without_single_use_several_refreshes_succeed(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary: with a token id that never changes, all succeed."""
    body = signed_in()
    monkeypatch.setattr(sessions, "_token_id", lambda: LoginSession.objects.get().token_id)
    assert len(refresh_concurrently(body["refreshToken"], 20)) > 1


def test_a_deactivated_user_loses_access(user: User) -> None:
    body = signed_in()
    User.objects.filter(pk=user.pk).update(is_active=False)
    credentials.forget()
    assert status_with(body["accessToken"]) == 401
    assert post("refresh", {"refreshToken": body["refreshToken"]}).status_code == 401
    assert post("login", {"username": "ana", "password": PASSWORD}).status_code == 401


def test_every_way_of_changing_a_password_ends_all_sessions(user: User) -> None:
    body = signed_in()
    user.set_password("another-long-password")
    user.save()
    credentials.forget()
    assert status_with(body["accessToken"]) == 401
    assert post("refresh", {"refreshToken": body["refreshToken"]}).status_code == 401
    assert LoginSession.objects.get().ended_at is not None
    assert post("login", {"username": "ana", "password": "another-long-password"}).status_code == 200


def test_a_lost_membership_takes_effect_within_a_second(user: User, settings: Any) -> None:
    settings.CREDENTIAL_TTL_MS = 1
    token = signed_in()["accessToken"]
    path = "/api/v1/restaurants/R1"
    assert APIClient().get(path, HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200
    Membership.objects.all().delete()
    time.sleep(0.002)
    assert APIClient().get(path, HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 404


def test_a_cached_token_expires_too(user: User, settings: Any) -> None:
    settings.CREDENTIAL_TTL_MS = 600_000
    token = signed_in()["accessToken"]
    assert status_with(token) == 200
    with clock.frozen(clock.now() + timedelta(minutes=16)):
        assert status_with(token) == 401


def test_guessing_a_password_is_slowed_down(user: User) -> None:
    def guess(password: str, address: str = "192.0.2.1") -> Any:
        return post("login", {"username": "ana", "password": password}, REMOTE_ADDR=address)

    assert [guess("wrong").status_code for _ in range(5)] == [401] * 5
    response = guess(PASSWORD)
    assert (response.status_code, response.json()["error"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert 0 < int(response["Retry-After"]) <= 901
    assert guess(PASSWORD, address="192.0.2.2").status_code == 200
    with clock.frozen(clock.now() + password_guard.WINDOW + timedelta(seconds=1)):
        assert guess(PASSWORD).status_code == 200
        assert password_guard.forget_old() == 1


def test_guessing_from_many_addresses_is_blocked_too(user: User) -> None:
    for number in range(password_guard.LIMITS["account"]):
        password_guard.admit("ana", f"192.0.{number}.1")
    response = post("login", {"username": "ANA", "password": PASSWORD}, REMOTE_ADDR="198.51.100.1")
    assert response.status_code == 429


@pytest.mark.django_db(transaction=True)
def test_concurrent_guesses_are_counted_individually(user: User) -> None:
    def guess(_: int) -> bool:
        try:
            password_guard.admit("ana", "192.0.2.1")
            return True
        except Exception:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(guess, range(20))) == 5


def test_the_back_office_has_the_same_password_guard(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = APIClient()
    for _ in range(5):
        client.post("/admin/login/", {"username": "ana", "password": "wrong"})
    assert client.post("/admin/login/", {"username": "ana", "password": PASSWORD}).status_code == 429
    assert "_auth_user_id" not in client.session


def test_credentials_that_disagree_are_refused(user: User) -> None:
    token = signed_in()["accessToken"]
    client = APIClient()
    both: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_X_API_KEY": "wk_" + "x" * 52}
    assert client.get(GUARDED, **both).status_code == 401
    same: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_X_API_KEY": token}
    assert client.get(GUARDED, **same).status_code == 200
    for malformed in ("Basic YTpi", "Bearer", "Bearer  ", "é", f"Bearer {'x' * 5000}"):
        assert client.get(GUARDED, HTTP_AUTHORIZATION=malformed).status_code == 401, malformed


def test_tokens_and_sessions_survive_a_secret_key_rotation(user: User, settings: Settings) -> None:
    claims = tokens.of_access(signed_in()["accessToken"])
    former, settings.SECRET_KEY = settings.SECRET_KEY, "a new key of the tests, long enough too"
    with pytest.raises(Unauthorized):
        claims.require_password_of(user)
    settings.SECRET_KEY_FALLBACKS = [former]
    claims.require_password_of(user)
    user.set_password("another-long-password")
    with pytest.raises(Unauthorized):
        claims.require_password_of(user)


def test_tokens_are_not_in_the_database(user: User) -> None:
    body = signed_in()
    session = LoginSession.objects.get()
    assert session.token_id not in body["accessToken"]
    claims = tokens.of_refresh(body["refreshToken"])
    assert (claims.session_id, claims.token_id) == (session.pk, session.token_id)
