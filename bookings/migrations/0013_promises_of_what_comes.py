"""Promises of the bookings and blocks to come, from what their events told the guests."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

from bookings.repository import promises


def complete(apps, schema_editor):
    promises.complete()


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("bookings", "0012_promises"), ("events", "0004_snapshot_shapes")]

    operations = [
        ValidateConstraint("booking", "booking_promise_whole"),
        ValidateConstraint("tableblock", "table_block_promise_whole"),
        migrations.RunPython(complete, migrations.RunPython.noop),
    ]
