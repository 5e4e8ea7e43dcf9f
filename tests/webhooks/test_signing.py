"""P14: receivers taken from the documentation verify what is sent, by every documented method."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as project
from pytest_django import Settings
from standardwebhooks.webhooks import Webhook as Standard
from standardwebhooks.webhooks import WebhookVerificationError

from tests.webhooks import support
from tests.webhooks.support import Receiver
from webhooks import encryption, payload, queue, sender, services, signing
from webhooks.models import Attempt, Delivery, Webhook
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM

NODE = shutil.which("node")
DOCUMENT = Path(project.ROOT) / "docs" / "webhooks.md"
NEEDS_NODE = pytest.mark.skipif(NODE is None, reason="needs node")
WORDS = [
    "ñandú", "Ærø", "日本", "🥂", "👩\u200d🍳", '"quoted"', "it's", "back\\slash", "</script>", "a\u2028b",
    "a\u2029b", "\t\r\n", "\x7f", "\x01", "\u00a0", "\ufeff", "\u202e",
]  # fmt: skip


def block(name: str) -> str:
    """Return the code block of that name in the document."""
    match = re.search(rf"^```\w+ {re.escape(name)}\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.M | re.S)
    assert match is not None
    return match[1]


@contextmanager
def documented(name: str, secret: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Run the document's receiver of that name; yield its URL and its output."""
    source = folder / name
    source.write_text(block(name), "utf-8")
    program = [NODE or "node", str(source)] if name.endswith("mjs") else [sys.executable, "-u", str(source)]
    environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": secret, "PORT": "0"}
    with subprocess.Popen(program, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().split()[1]
        printed: list[str] = []
        try:
            yield f"http://127.0.0.1:{port}/", printed
        finally:
            process.terminate()
            printed += process.stdout.read().splitlines()


def text(chance: random.Random) -> str:
    return "".join(chance.choice(WORDS) for _ in range(chance.randint(1, 5)))


def happen_at_random(chance: random.Random, count: int) -> list[str]:
    """Create bookings with unusual texts; return the ids of their events."""
    event_ids = []
    for _ in range(count):
        fields: dict[str, Any] = {
            "sectorId": text(chance),
            "tableIds": [text(chance) for _ in range(chance.randint(1, 4))],
            "partySize": chance.randint(1, 50),
            "changes": {
                "sectorId": {"from": text(chance), "to": text(chance)},
                "attention": {"from": [], "to": [text(chance)]},
                "durationMinutes": {"from": chance.randrange(15, 1440, 15), "to": 2**53 - 1},
                "guestName": {"from": None, "to": None, "redacted": True},
            },
        }
        event = support.publish_event(
            event_type=chance.choice(["BookingCreated", "BookingUpdated"]), **fields
        )
        event_ids.append(str(event.event_id))
    return event_ids


@pytest.fixture
def seed() -> int:
    number = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
    print(f"SEED={number}")
    return number


@pytest.mark.django_db
@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("name", [pytest.param("receiver.mjs", marks=NEEDS_NODE), "receiver.py"])
@pytest.mark.parametrize(
    "secret", ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "sécret chosen by hand ✓"]
)
def test_documented_receiver_verifies_two_hundred_random_bookings(
    name: str, secret: str, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    with documented(name, secret, tmp_path) as (url, printed):
        support.webhook(url, secret=secret)
        expected = happen_at_random(chance, 200)
        sender.drain()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"SUCCEEDED"}
    assert set(Attempt.objects.values_list("number", "status_code")) == {(1, 204)}
    assert sorted(line.split()[2] for line in printed) == sorted(expected)


@pytest.mark.django_db
@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("name", [pytest.param("receiver.mjs", marks=NEEDS_NODE), "receiver.py"])
def test_documented_receiver_refuses_tampered_messages(name: str, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    support.webhook("https://example.com/")
    happen_at_random(chance, 1)
    (job,) = queue.claim(1).jobs
    with documented(name, support.SECRET, tmp_path) as (url, _):
        assert send(url, job.headers, job.body) == 204
        for _ in range(40):
            tampered = bytearray(job.body)
            tampered[chance.randrange(len(tampered))] ^= 1 << chance.randrange(8)
            assert send(url, job.headers, bytes(tampered)) == 401
        for header in ("X-WokiBrain-Signature", "webhook-signature", "webhook-id", "webhook-timestamp"):
            value = job.headers[header]
            place = chance.randrange(3 if header == "webhook-signature" else 0, len(value) - 1)
            other = value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]
            assert send(url, job.headers | {header: other}, job.body) == 401, header
        stale = signing.headers(
            [support.SECRET],
            message_id=UUID(job.headers["webhook-id"]),
            at=clock.now() - timedelta(minutes=6),
            body=job.body,
        )
        assert send(url, job.headers | stale, job.body) == 401


@pytest.mark.django_db
@pytest.mark.usefixtures("private")
def test_canary_with_a_wrong_secret_the_check_fails(tmp_path: Path) -> None:
    """The canary: a receiver with another secret accepts nothing."""
    with documented("receiver.py", "not the secret of the webhook", tmp_path) as (url, printed):
        support.webhook(url)
        support.publish_event()
        sender.drain()
    assert (Delivery.objects.get().status, Attempt.objects.get().status_code, printed) == ("FAILED", 401, [])


def send(url: str, headers: Mapping[str, str], body: bytes) -> int:
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=5)
    try:
        connection.request("POST", "/", body, dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.django_db
def test_flipping_any_bit_invalidates_the_signature(seed: int, receiver: Receiver) -> None:
    support.webhook(receiver.url)
    support.publish_event()
    sender.drain()
    (request,) = receiver.requests
    verifier = Standard(signing.PREFIX + encoded(support.SECRET))
    assert verifier.verify(request.body, dict(request.headers)) == json.loads(request.body)
    for place in range(len(request.body)):
        tampered = bytearray(request.body)
        tampered[place] ^= 1 << place % 8
        with pytest.raises((WebhookVerificationError, UnicodeDecodeError)):
            verifier.verify(bytes(tampered), dict(request.headers))
        assert signing.legacy(support.SECRET, bytes(tampered)) != request.headers["x-wokibrain-signature"]


def encoded(secret: str) -> str:
    return base64.b64encode(secret.encode()).decode()


@pytest.mark.django_db
def test_generated_secret_is_the_one_of_standard_webhooks(receiver: Receiver) -> None:
    support.restaurant()
    _, secret = services.create_webhook(
        caller=SYSTEM, restaurant_id="R1", url=services.check_url(receiver.url), events=["booking.created"]
    )
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    support.publish_event()
    sender.drain()
    (request,) = receiver.requests
    Standard(secret).verify(request.body, dict(request.headers))
    raw = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-wokibrain-signature"] == raw


@pytest.mark.django_db
def test_both_secrets_verify_until_the_grace_period_ends(receiver: Receiver) -> None:
    hook = support.webhook(receiver.url)
    start = clock.now()
    with clock.frozen(start):
        rotated, new = services.rotate_secret(caller=SYSTEM, webhook_id=str(hook.pk))
    assert rotated.previous_until == start + timedelta(hours=24)
    for hours in (23, 25):
        with clock.frozen(start + timedelta(hours=hours)):
            support.publish_event()
            sender.drain()
    during, after = receiver.requests
    assert during.headers["x-wokibrain-signature"] == signing.legacy(new, during.body)
    assert during.headers["x-wokibrain-signature-previous"] == signing.legacy(support.SECRET, during.body)
    assert after.headers["x-wokibrain-signature"] == signing.legacy(new, after.body)
    assert "x-wokibrain-signature-previous" not in after.headers
    assert accepted(during.headers, during.body, new, start + timedelta(hours=23))
    assert accepted(during.headers, during.body, support.SECRET, start + timedelta(hours=23))
    assert accepted(after.headers, after.body, new, start + timedelta(hours=25))
    assert not accepted(after.headers, after.body, support.SECRET, start + timedelta(hours=25))


def accepted(headers: Mapping[str, str], body: bytes, secret: str, at: Any) -> bool:
    """Verify as the Standard Webhooks library does, but without its clock."""
    expected = signing.standard(secret, UUID(headers["webhook-id"]), int(at.timestamp()), body)
    return expected in headers["webhook-signature"].split(" ")


@pytest.mark.django_db
def test_second_rotation_ends_the_first_ones_grace(receiver: Receiver) -> None:
    hook = support.webhook(receiver.url)
    _, second = services.rotate_secret(caller=SYSTEM, webhook_id=str(hook.pk))
    _, third = services.rotate_secret(caller=SYSTEM, webhook_id=str(hook.pk))
    assert support.signs(hook, third, second)


def test_documented_test_vector_is_what_we_send() -> None:
    vector = json.loads(block("vector"))
    body = vector["body"].encode()
    at = datetime.fromtimestamp(int(vector["webhook-timestamp"]), UTC)
    signed = signing.headers([vector["secret"]], message_id=UUID(vector["webhook-id"]), at=at, body=body)
    assert signed == {name: value for name, value in vector.items() if name not in ("secret", "body")}
    assert payload.encode(json.loads(body)) == body


def test_documented_payload_is_what_we_send() -> None:
    body = re.search(r"^```json\n(.*?)\n```$", DOCUMENT.read_text("utf-8"), re.M | re.S)
    assert body is not None
    assert payload.encode(json.loads(body[1])) == body[1].encode()


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_",
        "whsec_not base64!",
        "whsec_c2hvcnQ=",
        "whsec_" + "QUFB" * 40,
        "whsec_QUFBQUFBQUFBQUFBQUFBQUE",
    ],
)
def test_malformed_whsec_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"base64|length"):
        signing.key_of(secret)


@pytest.mark.django_db
def test_secret_is_encrypted_in_the_database() -> None:
    hook = support.webhook("https://example.com/")
    ciphertext = Webhook.objects.values_list("secret", flat=True).get(pk=hook.pk)
    assert support.SECRET not in ciphertext
    assert encryption.unseal(ciphertext) == support.SECRET
    assert encryption.seal(support.SECRET) != ciphertext


@pytest.mark.django_db
def test_encryption_keys_rotate_without_losing_a_secret(settings: Settings) -> None:
    from django.core.management import CommandError, call_command

    old, new = "the first key of this installation", "the second key of this installation"
    settings.WEBHOOK_SECRET_KEYS = [old]
    hook = support.webhook("https://example.com/")
    services.rotate_secret(caller=SYSTEM, webhook_id=str(hook.pk), secret="chosen for the tests")
    settings.WEBHOOK_SECRET_KEYS = [new, old]
    call_command("rekey_webhooks", stdout=StringIO())
    settings.WEBHOOK_SECRET_KEYS = [new]
    assert support.signs(hook, "chosen for the tests", support.SECRET)
    settings.WEBHOOK_SECRET_KEYS = [old]
    services.send_test(caller=SYSTEM, webhook_id=str(hook.pk))
    claimed = queue.claim(1, only=[hook.pk])
    assert (claimed.jobs, len(claimed.unreadable)) == ([], 1)
    with pytest.raises(CommandError, match="WEBHOOK_SECRET_KEYS"):
        call_command("rekey_webhooks")
