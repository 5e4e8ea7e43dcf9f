"""Every change of a sector's service day is numbered, whoever writes it."""

from django.db import migrations, models

# Booking rows count on their own service day. What else holds a table (a block) has no service day,
# so it counts on each date it may touch; a night's service reaches into the next date and a zone's
# date may be one off from UTC's, hence the margin. Numbers come from a sequence: one that was rolled back
# never comes again. Days are taken in order, so that two writers of
# several days cannot wait for each other in a circle.
NUMBERED = """
CREATE SEQUENCE day_version_number;
CREATE FUNCTION day_version_next(sectors text[], days date[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO bookings_dayversion (sector_id, service_date, version)
    SELECT sector, day, nextval('day_version_number')
    FROM (SELECT DISTINCT sector, day FROM unnest(sectors, days) AS each (sector, day) ORDER BY sector, day)
        AS touched
    ON CONFLICT (sector_id, service_date) DO UPDATE SET version = nextval('day_version_number');
$$;

CREATE FUNCTION booking_day_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- The hottest of all: written out, without the detour through arrays.
        INSERT INTO bookings_dayversion AS day (sector_id, service_date, version)
        VALUES (NEW.sector_id, NEW.service_date, nextval('day_version_number'))
        ON CONFLICT (sector_id, service_date) DO UPDATE SET version = nextval('day_version_number');
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM day_version_next(ARRAY[OLD.sector_id::text], ARRAY[OLD.service_date]);
    ELSE
        PERFORM day_version_next(ARRAY[OLD.sector_id::text, NEW.sector_id::text],
                                 ARRAY[OLD.service_date, NEW.service_date]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER day_touch AFTER INSERT OR UPDATE OR DELETE ON bookings_booking
    FOR EACH ROW EXECUTE FUNCTION booking_day_touch();

CREATE FUNCTION allocation_day_touch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    held bookings_allocation := coalesce(NEW, OLD);
    days date[];
BEGIN
    IF held.booking_id IS NOT NULL THEN
        SELECT array_agg(service_date) INTO days FROM bookings_booking WHERE id = held.booking_id;
    ELSE
        SELECT array_agg(day::date) INTO days FROM generate_series(
            (lower(held.period) AT TIME ZONE 'UTC')::date - 2,
            (upper(held.period) AT TIME ZONE 'UTC')::date + 1, interval '1 day') AS day;
    END IF;
    PERFORM day_version_next(array_fill(held.sector_id::text, ARRAY[cardinality(days)]), days)
        WHERE days IS NOT NULL;
    RETURN NULL;
END $$;
-- The first hold of a booking comes with the booking's own row.
CREATE TRIGGER day_touch_held AFTER UPDATE OR DELETE ON bookings_allocation
    FOR EACH ROW EXECUTE FUNCTION allocation_day_touch();
CREATE TRIGGER day_touch_block AFTER INSERT ON bookings_allocation
    FOR EACH ROW WHEN (NEW.block_id IS NOT NULL) EXECUTE FUNCTION allocation_day_touch();

CREATE FUNCTION guest_day_touch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE sectors text[]; days date[];
BEGIN
    SELECT array_agg(sector_id::text), array_agg(service_date) INTO sectors, days
    FROM bookings_booking WHERE guest_id = NEW.id;
    PERFORM day_version_next(sectors, days) WHERE days IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER day_touch AFTER UPDATE ON bookings_guest
    FOR EACH ROW EXECUTE FUNCTION guest_day_touch();
"""
UNDO = """
DROP TRIGGER day_touch ON bookings_guest;
DROP TRIGGER day_touch_block ON bookings_allocation;
DROP TRIGGER day_touch_held ON bookings_allocation;
DROP TRIGGER day_touch ON bookings_booking;
DROP FUNCTION guest_day_touch();
DROP FUNCTION allocation_day_touch();
DROP FUNCTION booking_day_touch();
DROP FUNCTION day_version_next(text[], date[]);
DROP SEQUENCE day_version_number;
"""


class Migration(migrations.Migration):
    dependencies = [("bookings", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="DayVersion",
            fields=[
                ("pk", models.CompositePrimaryKey("sector_id", "service_date", blank=True, editable=False, primary_key=True, serialize=False)),
                ("sector_id", models.CharField(max_length=50)),
                ("service_date", models.DateField()),
                ("version", models.BigIntegerField()),
            ],
            options={"verbose_name": "version of a day", "verbose_name_plural": "versions of days"},
        ),
        migrations.RunSQL(NUMBERED, UNDO),
    ]
