"""The Celery application. Tasks are hints; Postgres knows what is done.

A lost queue costs a minute, until the sweeper queues the events again; a task that runs twice does nothing the second
time, because it finds its receipt; and retries are rows with a due time, so no task waits in the queue.
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
from celery.signals import worker_init
from django.conf import settings
from kombu.entity import Queue
from kombu.transport import redis as transport

from wokibrain.core import env, startup
from wokibrain.events.types import Group


class QoS(transport.QoS):
    """Gives up returning unacknowledged messages to a Redis that is away when a channel closes.

    kombu 5.7 raises there, and the worker hangs for good without consuming. The messages come back without this: the
    sweeper queues their events again, and the visibility timeout the rest.
    """

    def restore_unacked_once(self, stderr: Any = None) -> None:
        with suppress(AttributeError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            super().restore_unacked_once(stderr)  # type: ignore[no-untyped-call]


transport.Channel.QoS = QoS

# Celery warns root because a pickled message can run code; this application accepts JSON only.
warnings.filterwarnings("ignore", "You're running the worker with superuser privileges", SecurityWarning)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wokibrain.settings")


def broker_url() -> str:
    """Return BROKER_URL in Celery's spelling; by default the database after REDIS_URL's on the same server."""
    if url := settings.BROKER_URL:
        return env.celery_broker(url, env.redis_number(url, "BROKER_URL"), "BROKER_URL")
    # Production without REDIS_URL does not start, but this module is imported before that check.
    redis_url = settings.REDIS_URL or "redis://unset"
    return env.celery_broker(redis_url, env.redis_number(redis_url) + 1)


app = Celery("wokibrain")
app.set_default()
app.conf.update(
    broker_url=broker_url(),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        # Longer than any task may run, so a message unacknowledged for this long was lost with its worker.
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
    # The queues of a worker without -Q: all but webhooks.tasks.QUEUE, whose task runs for minutes and therefore has
    # a worker of its own.
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
        "close-ended-days": {
            "task": "wokibrain.bookings.close_ended_days",
            "schedule": crontab(minute=10),
            "options": {"expires": 1800},
        },
        "tidy": {"task": "wokibrain.tidy", "schedule": crontab(hour=3, minute=30)},
    },
)
app.autodiscover_tasks()
app.autodiscover_tasks(["wokibrain.ops"])


@worker_init.connect  # type: ignore[untyped-decorator]
def start(**_: Any) -> None:
    """Run what every process runs at its start."""
    startup.run()
