"""P1, the storm: many clients on few tables while one process after another is killed (see ``checker``)."""

from __future__ import annotations

import contextlib
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.faults.checker import Story, is_final
from tests.faults.receivers import Receivers, receivers
from tests.kafka import Kafka
from tests.ledger import ADMIN, Ledger, percentile, set_up, sql
from tests.pipeline import Pipeline
from tests.processes import Api, Services, api_servers
from webhooks.event_types import WebhookEvent
from wokibrain.access.credentials import digest_of, prefix_of
from wokibrain.access.keys import new_token
from wokibrain.core.ids import uuid7

RESTAURANT: Final = "S"
SECTORS: Final = {
    f"S{sector}": {f"S{sector}-{table}": ((1, 4), (2, 4), (2, 6))[table % 3] for table in range(6)}
    for sector in range(2)
}
DAYS: Final = [f"2025-11-{day:02}" for day in range(3, 7)]
STARTS: Final = ("12:00", "12:45", "13:30", "14:15", "20:00", "20:45", "21:30", "22:15")
SHARES: Final = {"create": 50, "move": 20, "resize": 10, "cancel": 20}
IMPATIENT: Final = 0.04
"""What share of requests is cut off by the client after 50 ms, so that there are answers nobody heard."""
LAST_CALL: Final = 60.0
"""How long after the storm a request may still be repeated before it counts as never answered."""
MAX_ORDER_WAIT: Final = 600.0
"""How long to wait for what the proof sets no bound for; what is not over then never will be."""
OUTAGE: Final = 0.3
"""How long the supervisor leaves a dead process dead."""

SETTINGS: Final = {
    "WEBHOOK_ALLOW_PRIVATE": "true",
    # One endpoint hangs: its deliveries are retried within seconds and not within days.
    "WEBHOOK_RETRY_PAUSES": "2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2",
    "WEBHOOK_BREAKER_SECONDS": "0.1",
}


@dataclass(frozen=True, slots=True)
class Form:
    """``chaos``: (seconds from the start, what). ``pause``: seconds a client thinks between two requests, at most."""

    seconds: float
    clients: int
    receivers: int = 0
    hanging: int = 0
    pause: float = 0.05
    timeout: float = 10.0
    webhook_timeout: float = 10.0
    chaos: tuple[tuple[float, str], ...] = ()
    without: str = ""


SHORT: Final = Form(
    10, 24, receivers=3, hanging=1, timeout=5.0, webhook_timeout=2.0,
    chaos=(
        (1, "deliver"), (2, "relay"), (3, "redis"), (4, "worker"), (5, "redis back"), (6, "api 1"), (7, "worker"),
        (9.5, "worker"),
    ),
)  # fmt: skip
LONG: Final = Form(
    60, 200, receivers=20, hanging=1, pause=3.0,
    chaos=tuple(sorted([
        (15, "redis"), (30, "redis back"), (20, "broker"), (45, "broker back"), (33, "relay"), (40, "api 1"),
        *((at, ("worker", "deliver")[at // 5 % 2]) for at in range(5, 60, 5)),
    ])),
)  # fmt: skip


@dataclass(slots=True)
class Storm:
    """One run; ``ledger`` and ``kills`` record it."""

    form: Form
    seed: int
    api: Api
    pipeline: Pipeline | None
    token: str
    broker: Kafka | None = None
    ledger: Ledger = field(default_factory=Ledger)
    kills: list[tuple[str, float]] = field(default_factory=list)
    _bookings: list[str] = field(default_factory=list)
    _ends: float = 0.0
    _returning: list[Future[None]] = field(default_factory=list)
    _tls: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def warm_up(self) -> None:
        """Book once and wait until the event is delivered, so that the chaos hits processes at work."""
        pipeline = self.pipeline
        assert pipeline is not None
        with self._connect(self.api.urls[0], 30) as client:
            wish = {"restaurantId": RESTAURANT, "partySize": 2, "durationMinutes": 90, "date": "2025-11-01"}
            entry = self.ledger.send(client, "POST", "/woki/bookings", json=wish, key=f"{self.seed}-first")
        assert entry.status == 201, entry
        successes = "SELECT count(*) FROM webhooks_delivery WHERE status = 'SUCCEEDED'"
        expected = self.form.receivers - self.form.hanging
        pipeline.until(lambda: pipeline.value(successes) == expected)

    def run(self) -> None:
        """Run the clients and the chaos; return once the last request is answered and all that was killed is back."""
        began = time.monotonic()
        self._ends = began + self.form.seconds
        with ThreadPoolExecutor(self.form.clients + 1) as pool:
            clients = [pool.submit(self._client, number) for number in range(self.form.clients)]
            # Started here, because a process ends with the thread that started it.
            for at, what in self.form.chaos:
                time.sleep(max(0.0, began + at - time.monotonic()))
                self._strike(what, pool)
            for future in (*clients, *self._returning):
                future.result()
        for server in self.api.servers:
            server.wait_live()

    # --- chaos ---

    def _strike(self, what: str, pool: ThreadPoolExecutor) -> None:
        assert self.pipeline is not None
        name, _, number = what.partition(" ")
        redis = self.pipeline.services.redis
        if number == "back":
            if name == "redis":
                redis.start()
            elif self.broker is not None:
                # It takes seconds, and its process does not end with the thread.
                self._returning.append(pool.submit(self.broker.start))
            return
        if name == "broker" and self.broker is None:
            return
        self.kills.append((name, time.monotonic()))
        if name == "redis":
            redis.kill()
        elif name == "broker":
            assert self.broker is not None
            self.broker.kill()
        elif name == "api":
            server = self.api.servers[int(number)]
            server.kill()
            time.sleep(OUTAGE)
            server.start()
        else:
            (process,) = [one for one in self.pipeline.processes if one.name == name]
            process.kill()
            time.sleep(OUTAGE)
            process.start()

    # --- clients ---

    def _client(self, number: int) -> None:
        rng = random.Random(f"{self.seed}-{number}")
        with contextlib.ExitStack() as stack:
            patient, impatient = (
                [stack.enter_context(self._connect(url, timeout)) for url in self.api.urls]
                for timeout in (self.form.timeout, 0.05)
            )
            count = 0
            while time.monotonic() < self._ends:
                count += 1
                operation = rng.choices(list(SHARES), list(SHARES.values()))[0]
                method, path, body = self._request(operation, rng)
                key = f"{self.seed}-{number}-{count}"
                first = impatient if rng.random() < IMPATIENT else patient
                entry = self.ledger.send(rng.choice(first), method, path, json=body, key=key)
                while not is_final(entry) and time.monotonic() < self._ends + LAST_CALL:
                    time.sleep(rng.uniform(0.05, 0.3))
                    entry = self.ledger.send(rng.choice(patient), method, path, json=body, key=key)
                if entry.status == 201:
                    self._bookings.append(entry.body["id"])
                elif entry.status == 204:
                    with contextlib.suppress(ValueError):
                        self._bookings.remove(path.rpartition("/")[2])
                time.sleep(rng.uniform(0, self.form.pause))

    def _connect(self, url: str, timeout: float) -> httpx.Client:
        return httpx.Client(
            base_url=url,
            timeout=timeout,
            trust_env=False,
            verify=self._tls,
            headers={"X-API-Key": self.token},
        )

    def _request(self, operation: str, rng: random.Random) -> tuple[str, str, Any]:
        """Return method, path and body. The booking may be any client's: two may change the same one differently."""
        bookings = list(self._bookings)
        day, start = rng.choice(DAYS), rng.choice(STARTS)
        at = f"{day}T{start}:00-03:00"
        sector = rng.choice(list(SECTORS))
        tables = sorted(rng.sample(list(SECTORS[sector]), rng.choice((1, 1, 1, 2))))
        if operation == "create" or not bookings:
            party = rng.randint(1, 7)
            wish: dict[str, Any] = {
                "restaurantId": RESTAURANT,
                "partySize": party,
                "durationMinutes": rng.choice((60, 90, 105)),
                "date": day,
            }
            form = rng.randrange(4)
            if form:
                wish["sectorId"] = sector
            if form == 2:
                wish |= {"windowStart": "20:00", "windowEnd": "23:45"}
            if form == 3:
                wish |= {"start": at, "tableIds": tables}
            if rng.random() < 0.5:
                wish |= {"guestName": f"Guest {rng.randrange(50)}", "guestPhone": "+5491155550000"}
            return "POST", "/woki/bookings", wish
        path = f"/woki/bookings/{rng.choice(bookings)}"
        if operation == "cancel":
            return "DELETE", path, None
        if operation == "resize":
            fields = {"partySize": rng.randint(1, 7), "durationMinutes": rng.choice((60, 75, 90))}
            return "PATCH", path, dict(rng.sample(sorted(fields.items()), rng.randint(1, 2)))
        moves: list[dict[str, Any]] = [
            {"date": day},
            {"date": day, "start": at},
            {"sectorId": sector},
            {"sectorId": sector, "date": day, "start": at},
            {"sectorId": sector, "tableIds": tables},
        ]
        return "PATCH", path, rng.choice(moves)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The checker's input, the environment to run `verify` in, and the durations of the recovery."""

    story: Story
    settings: dict[str, str]
    published: float
    settled: float
    figures: str


def run_storm(services: Services, form: Form, seed: int, *, broker: Kafka | None = None) -> Outcome:
    """Run a storm on ``services`` and wait until all work is done. Raises TimeoutError if it does not end."""
    print(f"P1: seed {seed}, {'on ' + broker.kind if broker else 'without Kafka'}")
    token = _key(services)
    settings = SETTINGS | {"WEBHOOK_TIMEOUT_SECONDS": str(form.webhook_timeout)}
    with contextlib.ExitStack() as stack:
        ears = stack.enter_context(
            receivers(services.folder / "receipts.jsonl", form.receivers, form.hanging)
        )
        pipeline = stack.enter_context(Pipeline(services, broker.address if broker else "", settings))
        # First the API, which must be ready; the others start while the restaurant is set up.
        api = stack.enter_context(api_servers(3, services=services, environment=settings))
        pipeline.start("relay", "worker", "deliver", *(("consume",) if broker else ()))
        with httpx.Client(base_url=api.urls[0], timeout=30, trust_env=False) as client:
            set_up(client, RESTAURANT, SECTORS)
            secrets = [_webhook(client, token, url) for url in ears.urls]
        storm = Storm(form, seed, api, pipeline, token, broker)
        storm.warm_up()
        storm.run()
        published, settled = _calm(pipeline, ears)
        story = Story(storm.ledger.entries, storm.kills, secrets, ears.receipts())
        return Outcome(
            story, pipeline.settings, published, settled, _figures(story, form, published, settled)
        )


def unprotected(services: Services, form: Form, seed: int) -> Story:
    """Run the same clients without chaos and without the locks (and the constraint); return their story."""
    token = _key(services)
    with api_servers(3, services=services, environment={"FAULT_WITHOUT": form.without}) as api:
        with httpx.Client(base_url=api.urls[0], timeout=30, trust_env=False) as client:
            set_up(client, RESTAURANT, SECTORS)
        storm = Storm(form, seed, api, None, token)
        storm.run()
    return Story(storm.ledger.entries, [], [], [])


def _key(services: Services) -> str:
    """Create an API key with every permission."""
    token = new_token()
    sql(
        services,
        "INSERT INTO access_apikey (id, name, prefix, digest, role, created_at) "
        "VALUES (%s, 'storm', %s, %s, 'super_admin', now())",
        [uuid7(), prefix_of(token), digest_of(token)],
    )
    return token


def _webhook(client: httpx.Client, token: str, url: str) -> str:
    secret = f"secret of {url}"
    answer = client.post(
        "/api/v1/webhooks",
        json={"restaurantId": RESTAURANT, "url": url, "events": WebhookEvent.values, "secret": secret},
        headers={"X-API-Key": token} | ADMIN,
    )
    assert answer.status_code == 201, answer.text
    return secret


UNPUBLISHED: Final = """
SELECT (SELECT count(*) FROM events_storedevent WHERE published_at IS NULL) + (SELECT count(*) FROM events_failure)
"""
UNDELIVERED: Final = "SELECT count(*) FROM webhooks_delivery WHERE status = 'PENDING'"


def _calm(pipeline: Pipeline, ears: Receivers) -> tuple[float, float]:
    """Return the seconds of recovery until outbox and retries were empty, and until all was handled and delivered."""
    healed = time.monotonic()
    ears.heal()
    _until(pipeline, lambda: pipeline.value(UNPUBLISHED))
    published = time.monotonic() - healed
    _until(pipeline, pipeline.unsettled)
    _until(pipeline, lambda: pipeline.value(UNDELIVERED))
    return published, time.monotonic() - healed


def _until(pipeline: Pipeline, remaining: Callable[[], int]) -> None:
    """Wait until nothing is left. Polls seldom: the work needs the processor too."""

    def done() -> bool:
        time.sleep(0.25)
        return remaining() == 0

    pipeline.until(done, MAX_ORDER_WAIT)


def _figures(story: Story, form: Form, published: float, settled: float) -> str:
    entries = story.entries
    finished = [entry for entry in entries if is_final(entry)]
    keys = {entry.key for entry in entries}
    methods = {"create": "POST", "change": "PATCH", "cancel": "DELETE"}
    p95 = ", ".join(
        f"{name} {percentile(entries_of_method, 0.95):.0f} ms" if entries_of_method else f"{name} -"
        for name, method in methods.items()
        for entries_of_method in [[entry for entry in finished if entry.operation.startswith(method)]]
    )
    pairs = {(one.headers.get("webhook-id"), one.to) for one in story.receipts}
    prompt = [
        (one.headers.get("webhook-id"), one.to)
        for one in story.receipts
        if one.to < form.receivers - form.hanging
    ]
    return "\n".join(
        [
            f"P1: {len(keys)} requests ({len(keys) / form.seconds:.0f}/s), {len(entries) - len(keys)} repeats, "
            f"answers {dict(sorted(Counter(entry.status for entry in entries).items()))}",
            f"P1: p95 {p95}; kills {dict(Counter(what for what, _ in story.kills))}",
            f"P1: {len(pairs)} deliveries to {len(story.secrets)} receivers in {len(story.receipts)} attempts, "
            f"{len(prompt) - len(set(prompt))} duplicates at those who answer",
            f"P1: outbox empty {published:.1f} s, all handled and delivered {settled:.1f} s after healing",
        ]
    )
