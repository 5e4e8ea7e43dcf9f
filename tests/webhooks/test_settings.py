"""What production refuses, and how the schedule is read."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from openapi_spec_validator import validate
from pytest_django import Settings

from wokibrain.core import env
from wokibrain.ops.production_checks import unsafe
from wokibrain.rest.openapi import document


def unsafe_settings(settings: Settings) -> set[str]:
    return {sentence.split()[0] for sentence in unsafe(settings)}


@pytest.mark.parametrize(
    "keys",
    [[], ["development-only-webhook-secret-key"], ["short"], ["x" * 32, "development-only-" + "x" * 32]],
)
def test_production_requires_its_own_keys(settings: Settings, keys: list[str]) -> None:
    settings.WEBHOOK_SECRET_KEYS = keys
    assert "WEBHOOK_SECRET_KEYS" in unsafe_settings(settings)


def test_production_accepts_valid_keys(settings: Settings) -> None:
    settings.WEBHOOK_SECRET_KEYS = ["x" * 32, "y" * 40]
    assert not {"WEBHOOK_SECRET_KEYS", "WEBHOOK_ALLOW_PRIVATE"} & unsafe_settings(settings)


def test_production_does_not_deliver_to_private_networks(settings: Settings) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    assert "WEBHOOK_ALLOW_PRIVATE" in unsafe_settings(settings)


def test_schedule_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_QUICK_ATTEMPTS", "0, 0.5,3")
    assert env.numbers("WEBHOOK_QUICK_ATTEMPTS", [0]) == [0, 0.5, 3]
    monkeypatch.delenv("WEBHOOK_QUICK_ATTEMPTS")
    assert env.numbers("WEBHOOK_QUICK_ATTEMPTS", [0, 1]) == [0, 1]


@pytest.mark.parametrize("text", ["0,x", "2,1", "-1,2", "nan", "0,1e9"])
def test_invalid_schedule_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WEBHOOK_RETRY_PAUSES", text)
    with pytest.raises(ImproperlyConfigured, match="WEBHOOK_RETRY_PAUSES"):
        env.numbers("WEBHOOK_RETRY_PAUSES", [])


def test_openapi_document_with_webhooks_is_valid() -> None:
    validate(document())
