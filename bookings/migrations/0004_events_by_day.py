"""Finds the bookings that ever stood in the book of a service date, for looking back."""

from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("bookings", "0003_read_models"), ("events", "0003_kept")]

    operations = [
        migrations.RunSQL(
            [
                # Whatever an attempt that was cut short has left: it would be there, and never used.
                "DROP INDEX CONCURRENTLY IF EXISTS event_by_service_day",
                "CREATE INDEX CONCURRENTLY event_by_service_day ON events_storedevent "
                "((payload -> 'restaurantId'), (payload -> 'serviceDate')) WHERE aggregate_type = 'booking'",
            ],
            "DROP INDEX CONCURRENTLY IF EXISTS event_by_service_day",
        ),
    ]
