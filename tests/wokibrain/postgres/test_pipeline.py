"""Statements sent together: their order, what each sees, and how they fail."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, connections, transaction

from tests.waiting import PATIENCE
from wokibrain.postgres.pipeline import pipelined

pytestmark = pytest.mark.django_db(transaction=True)
LOCK = "SELECT pg_advisory_xact_lock(%s)"
NUMBER = 471_100


def test_rows_are_available_after_the_block() -> None:
    with transaction.atomic():
        with pipelined(), connection.cursor() as first:
            first.execute("SELECT 1")
            second = connection.cursor()
            second.execute("SELECT %s::text", ["two"])
        assert second.fetchone() == ("two",)
        Group.objects.create(name="kept")
    assert Group.objects.filter(name="kept").exists()


def test_statement_after_a_lock_sees_what_the_holder_committed() -> None:
    has_lock, waiting = threading.Event(), threading.Event()

    def holder() -> None:
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(LOCK, [NUMBER])
                has_lock.set()
                waiting.wait(PATIENCE)
                while not blocked():
                    time.sleep(0.01)
                Group.objects.create(name="made meanwhile")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(holder)
        assert has_lock.wait(PATIENCE)
        waiting.set()
        with transaction.atomic():
            with pipelined():
                connection.cursor().execute(LOCK, [NUMBER])
                reader = connection.cursor()
                reader.execute("SELECT name FROM auth_group")
            assert reader.fetchall() == [("made meanwhile",)]
        done.result(PATIENCE)


def blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
        (exists,) = cursor.fetchone()
    return bool(exists)


def wait_for_a_lock_in_vain() -> None:
    with transaction.atomic():
        Group.objects.create(name="undone")
        with pipelined():
            connection.cursor().execute("SELECT set_config('lock_timeout', '50ms', true)")
            connection.cursor().execute(LOCK, [NUMBER])
            connection.cursor().execute("SELECT 1")


def test_the_first_error_is_raised_as_djangos_and_the_connection_stays_usable() -> None:
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(LOCK, [NUMBER])
        with pytest.raises(OperationalError) as failed:
            wait_for_a_lock_in_vain()
    assert isinstance(failed.value.__cause__, psycopg.errors.LockNotAvailable)
    assert not Group.objects.exists()


def change_its_mind() -> None:
    with transaction.atomic(), pipelined():
        connection.cursor().execute("INSERT INTO auth_group (name) VALUES ('undone')")
        raise LookupError


def test_an_exception_in_the_block_propagates_and_rolls_back() -> None:
    with pytest.raises(LookupError):
        change_its_mind()
    assert not Group.objects.exists()
