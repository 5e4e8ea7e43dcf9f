"""What guests were told, as wall times, and that a table is promised once for a wall time.

The columns may be empty: what was over before this has no use for them, and the version before this one, which may run
until it is replaced, does not write them.
"""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

import bookings.models

# No row has an offset yet, so the index is built from nothing and the lock is short.
PROMISED_ONCE = """
ALTER TABLE bookings_allocation ADD CONSTRAINT allocation_promised_once EXCLUDE USING gist (
    table_id WITH =,
    tsrange(
        (lower(period) AT TIME ZONE 'UTC') + utc_offset * interval '1 second',
        (upper(period) AT TIME ZONE 'UTC') + utc_offset * interval '1 second'
    ) WITH &&
) WHERE (active AND utc_offset IS NOT NULL) DEFERRABLE
"""
PROMISED_ONCE_UNDO = "ALTER TABLE bookings_allocation DROP CONSTRAINT allocation_promised_once"

# The version before this one moves a booking without a word about its promise, which is then void. The program itself
# writes both at once; only a derivation by new rules keeps the promise as the instant changes, and says so.
VOID = """
CREATE FUNCTION booking_promise_void() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('wokibrain.deriving', true) IS DISTINCT FROM 'on' THEN
        NEW.promised_start := NULL;
        NEW.promised_zone := NULL;
        NEW.promised_fold := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER promise_void BEFORE UPDATE OF start ON bookings_booking FOR EACH ROW
    WHEN (NEW.start <> OLD.start AND NEW.promised_start = OLD.promised_start
          AND NEW.promised_zone = OLD.promised_zone AND NEW.promised_fold = OLD.promised_fold)
    EXECUTE FUNCTION booking_promise_void();
"""
VOID_UNDO = """
DROP TRIGGER promise_void ON bookings_booking;
DROP FUNCTION booking_promise_void();
"""


class Migration(migrations.Migration):
    dependencies = [("bookings", "0011_seating"), ("restaurants", "0004_zone_release")]

    operations = [
        migrations.AddField("booking", "promised_start", bookings.models.WallTimeField(editable=False, null=True)),
        migrations.AddField("booking", "promised_zone", models.CharField(editable=False, max_length=64, null=True)),
        migrations.AddField(
            "booking", "promised_fold", models.PositiveSmallIntegerField(editable=False, null=True)
        ),
        migrations.AddField(
            "tableblock", "promised_start", bookings.models.WallTimeField(editable=False, null=True)
        ),
        migrations.AddField(
            "tableblock", "promised_start_fold", models.PositiveSmallIntegerField(editable=False, null=True)
        ),
        migrations.AddField("tableblock", "promised_end", bookings.models.WallTimeField(editable=False, null=True)),
        migrations.AddField(
            "tableblock", "promised_end_fold", models.PositiveSmallIntegerField(editable=False, null=True)
        ),
        migrations.AddField(
            "tableblock", "promised_zone", models.CharField(editable=False, max_length=64, null=True)
        ),
        migrations.AddField("allocation", "utc_offset", models.IntegerField(editable=False, null=True)),
        AddConstraintNotValid(
            "booking",
            models.CheckConstraint(
                name="booking_promise_whole",
                condition=models.Q(promised_start=None, promised_zone=None, promised_fold=None)
                | models.Q(
                    promised_start__isnull=False, promised_zone__isnull=False, promised_fold__in=[0, 1]
                ),
            ),
        ),
        AddConstraintNotValid(
            "tableblock",
            models.CheckConstraint(
                name="table_block_promise_whole",
                condition=models.Q(
                    promised_start=None,
                    promised_start_fold=None,
                    promised_end=None,
                    promised_end_fold=None,
                    promised_zone=None,
                )
                | models.Q(
                    promised_start__isnull=False,
                    promised_start_fold__in=[0, 1],
                    promised_end__isnull=False,
                    promised_end_fold__in=[0, 1],
                    promised_zone__isnull=False,
                ),
            ),
        ),
        migrations.RunSQL(PROMISED_ONCE, PROMISED_ONCE_UNDO),
        migrations.RunSQL(VOID, VOID_UNDO),
    ]
