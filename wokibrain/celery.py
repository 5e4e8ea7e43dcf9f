"""Celery: tasks are hints, the truth about what is done lives in Postgres.

So a lost queue costs a minute (the sweeper brings the events again), a task run twice costs nothing
(receipts), and no task waits in the queue for a time of day (retry times are rows).
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from typing import Any

import redis.exceptions
from celery import Celery
from celery.exceptions import SecurityWarning
from celery.schedules import crontab
from django.conf import settings
from kombu.entity import Queue
from kombu.transport import redis as transport

from wokibrain.core import env
from wokibrain.events.types import Group


class QoS(transport.QoS):
    """Gives unacknowledged messages back when a channel closes, if there is anywhere to give them.

    With Redis gone kombu 5.7 fails in trying and the worker hangs for good, alive and deaf. Then it is better
    to let go: the visibility timeout brings the messages again, and the sweeper does before.
    """

    def restore_unacked_once(self, stderr: Any = None) -> None:
        with suppress(AttributeError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            super().restore_unacked_once(stderr)  # type: ignore[no-untyped-call]


transport.Channel.QoS = QoS

# It says so to root because a message might run code when it is read. Ours are JSON, and nothing else is read.
warnings.filterwarnings("ignore", "You're running the worker with superuser privileges", SecurityWarning)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")


def broker_url() -> str:
    """BROKER_URL, or the database after REDIS_URL's of the same server."""
    if url := settings.BROKER_URL:
        return env.celery_broker(url, env.redis_number(url, "BROKER_URL"), "BROKER_URL")
    # Without one production does not start, and says so after this was read.
    redis_url = settings.REDIS_URL or "redis://unset"
    return env.celery_broker(redis_url, env.redis_number(redis_url) + 1)


app = Celery("wokibrain")
app.set_default()
app.conf.update(
    broker_url=broker_url(),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        # No task runs longer than its time limit, so what is out for this long was lost with its worker.
        "visibility_timeout": 300,
        "socket_connect_timeout": 1,
        "socket_timeout": 5,
        "socket_keepalive": True,
    },
    task_serializer="json",
    accept_content=["json"],
    task_publish_retry=False,
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=120,
    task_soft_time_limit=90,
    task_default_queue="default",
    # What a worker serves unless it is told otherwise with -Q: everything but webhooks.tasks.QUEUE, which has a
    # worker to itself, because its one task goes on for minutes.
    task_queues=[Queue(name, routing_key=name) for name in ("default", *Group)],  # type: ignore[no-untyped-call]
    worker_prefetch_multiplier=4,
    worker_concurrency=env.integer(
        "WORKER_PROCESSES", min(4, max(2, os.cpu_count() or 2)), minimum=1, maximum=128
    ),
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    timezone="UTC",
    beat_schedule={
        "webhooks": {
            "task": "wokibrain.webhooks.sweep",
            "schedule": 5.0,
            "options": {"queue": "webhook-deliveries", "expires": 10},
        },
        "tidy": {"task": "wokibrain.tidy", "schedule": crontab(hour=3, minute=30)},
    },
)
app.autodiscover_tasks()
app.autodiscover_tasks(["wokibrain.ops"])
