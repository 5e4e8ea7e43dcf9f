"""Who sits where, beside the plan: one row for each party at each table, written by a trigger on bookings.

Parties that sit while this is applied get their rows. Where two sit at one table, which nothing forbade before, the one
that sat down earlier counts as having left the table when the later one sat down.
"""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
from django.db import migrations, models

WRITTEN = """
CREATE FUNCTION booking_seating() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.status = 'SEATED' THEN
        IF NEW.status IN ('SEATED', 'COMPLETED') THEN
            -- A row that would be empty: seated and gone in the same millisecond.
            DELETE FROM bookings_seating
            WHERE booking_id = NEW.id AND upper_inf(period) AND lower(period) >= NEW.updated_at
              AND (NEW.status = 'COMPLETED' OR table_id <> ALL (NEW.table_ids));
            UPDATE bookings_seating SET period = tstzrange(lower(period), NEW.updated_at)
            WHERE booking_id = NEW.id AND upper_inf(period)
              AND (NEW.status = 'COMPLETED' OR table_id <> ALL (NEW.table_ids));
        ELSE
            -- Put back: the party never sat.
            DELETE FROM bookings_seating WHERE booking_id = NEW.id;
        END IF;
        -- A cached day knows of its neighbours' bookings only; an older party's tables are free on the present dates.
        IF NEW.service_date < NEW.updated_at::date - 1 THEN
            PERFORM day_version_next(
                array_fill(OLD.sector_id::text, ARRAY[3]),
                ARRAY[NEW.updated_at::date - 1, NEW.updated_at::date, NEW.updated_at::date + 1]);
        END IF;
    END IF;
    IF NEW.status = 'SEATED' THEN
        IF TG_OP = 'UPDATE' AND OLD.status = 'COMPLETED' THEN
            -- They had not left after all; where others sat meanwhile, they sit down anew.
            UPDATE bookings_seating AS own SET period = tstzrange(lower(period), NULL), assumed = false
            WHERE booking_id = NEW.id AND table_id = ANY (NEW.table_ids)
              AND upper(period) = (SELECT max(upper(period)) FROM bookings_seating WHERE booking_id = NEW.id)
              AND NOT EXISTS (
                  SELECT FROM bookings_seating AS other
                  WHERE other.table_id = own.table_id AND other.booking_id <> own.booking_id
                    AND other.period && tstzrange(upper(own.period), NULL));
        END IF;
        INSERT INTO bookings_seating (booking_id, table_id, sector_id, period)
        SELECT NEW.id, seat.table_id, NEW.sector_id, tstzrange(NEW.updated_at, NULL)
        FROM unnest(NEW.table_ids) AS seat (table_id)
        WHERE NOT EXISTS (
            SELECT FROM bookings_seating AS own
            WHERE own.booking_id = NEW.id AND own.table_id = seat.table_id AND upper_inf(own.period))
        ORDER BY seat.table_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER seating_insert AFTER INSERT ON bookings_booking
    FOR EACH ROW WHEN (NEW.status = 'SEATED') EXECUTE FUNCTION booking_seating();
CREATE TRIGGER seating_update AFTER UPDATE OF status, table_ids ON bookings_booking
    FOR EACH ROW WHEN (
        (OLD.status = 'SEATED' OR NEW.status = 'SEATED')
        AND (OLD.status, OLD.table_ids) IS DISTINCT FROM (NEW.status, NEW.table_ids)
    ) EXECUTE FUNCTION booking_seating();

INSERT INTO bookings_seating (booking_id, table_id, sector_id, period)
SELECT id, table_id, sector_id, tstzrange(since, until)
FROM (
    SELECT *, lead(since) OVER (PARTITION BY table_id ORDER BY since, id) AS until
    FROM (
        SELECT booking.id, booking.sector_id, unnest(booking.table_ids) AS table_id, coalesce(
            (SELECT max(occurred_at) FROM events_storedevent
             WHERE aggregate_type = 'booking' AND aggregate_id = booking.id::text
               AND event_type IN ('BookingCreated', 'BookingSeated')), booking.start) AS since
        FROM bookings_booking AS booking WHERE booking.status = 'SEATED'
    ) AS seated
) AS seated
WHERE until IS NULL OR since < until;
"""
UNDO = """
DROP TRIGGER seating_update ON bookings_booking;
DROP TRIGGER seating_insert ON bookings_booking;
DROP FUNCTION booking_seating();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("bookings", "0010_attention_index"),
        ("events", "0004_snapshot_shapes"),
        ("restaurants", "0005_occupied_margin"),
    ]

    operations = [
        migrations.CreateModel(
            name="Seating",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("period", django.contrib.postgres.fields.ranges.DateTimeRangeField(verbose_name="period")),
                (
                    "assumed",
                    models.BooleanField(
                        db_default=False,
                        default=False,
                        help_text="Nobody marked the party as gone: it ended with its service day.",
                        verbose_name="end assumed",
                    ),
                ),
                (
                    "booking",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="seatings",
                        to="bookings.booking",
                        verbose_name="booking",
                    ),
                ),
                (
                    "sector",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="restaurants.sector",
                        verbose_name="sector",
                    ),
                ),
                (
                    "table",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="seatings",
                        to="restaurants.table",
                        verbose_name="table",
                    ),
                ),
            ],
            options={
                "verbose_name": "seating",
                "verbose_name_plural": "seatings",
                "indexes": [
                    models.Index(
                        condition=models.Q(("period__upper_inf", True)),
                        fields=["sector", "table"],
                        name="seating_open",
                    )
                ],
                "constraints": [
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        deferrable=models.Deferrable["IMMEDIATE"],
                        expressions=[("table", "="), ("period", "&&")],
                        name="seating_never_overlaps",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("period__isempty", False), ("period__lower_inf", False)),
                        name="seating_period_begins",
                    ),
                ],
            },
        ),
        migrations.RunSQL(WRITTEN, UNDO),
    ]
