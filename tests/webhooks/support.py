"""Receivers, real HTTP servers on loopback, and webhooks for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

from restaurants.models import Restaurant
from tests.wokibrain.events import support as events
from webhooks import encryption, queue, services, signing
from webhooks.event_types import WebhookEvent
from webhooks.models import Webhook
from wokibrain.core import clock
from wokibrain.core.callers import SYSTEM
from wokibrain.events import dispatch
from wokibrain.events.models import StoredEvent

SECRET = "a secret of the tests"


@dataclass(frozen=True, slots=True)
class Request:
    at: float
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    delay: float = 0.0


class Receiver:
    """Logs every request; ``answer`` may be replaced, or be a function of the request."""

    def __init__(self, answer: Answer | Callable[[Request], Answer] | None = None) -> None:
        self.requests: list[Request] = []
        self.answer = answer or Answer()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                # Header names in lower case: HTTP does not tell them apart.
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(time.monotonic(), self.path, headers, body)
                receiver.requests.append(request)
                reply = receiver.answer
                answer = reply if isinstance(reply, Answer) else reply(request)
                time.sleep(answer.delay)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def restaurant(id: str = "R1", zone: str = "America/Argentina/Buenos_Aires") -> Restaurant:
    return Restaurant.objects.get_or_create(pk=id, defaults={"name": id, "zone": zone})[0]


def webhook(
    url: str,
    *,
    place: str | None = "R1",
    events: list[str] | None = None,
    secret: str = SECRET,
    **more: Any,
) -> Webhook:
    """Create a webhook directly in its table."""
    if place is not None:
        restaurant(place)
    now = clock.now()
    return Webhook.objects.create(
        restaurant_id=place,
        url=url,
        events=events or WebhookEvent.values,
        secret=encryption.seal(secret),
        created_at=now,
        updated_at=now,
        **more,
    )


def signs(hook: Webhook, *secrets: str) -> bool:
    """Return whether deliveries are now signed with exactly these secrets, the current one first."""
    services.send_test(caller=SYSTEM, webhook_id=str(hook.pk))
    (job,) = queue.claim(1, only=[hook.pk]).jobs
    signed = signing.headers(
        secrets, message_id=UUID(job.headers["webhook-id"]), at=job.started_at, body=job.body
    )
    return {name: job.headers.get(name) for name in signed} == signed


def publish_event(
    booking_id: str = "", version: int = 1, event_type: str = "BookingCreated", **fields: Any
) -> StoredEvent:
    """Append a booking event and fan it out, as a worker does."""
    event = events.append(booking_id, version, event_type, **fields)
    hand(event.event_id)
    return event


def hand(*event_ids: UUID) -> None:
    dispatch.handle(queue.CONSUMER, event_ids)
