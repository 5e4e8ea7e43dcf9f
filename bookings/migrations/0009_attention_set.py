"""A booking may need attention for several reasons: a column of its own for the set.

The old column stays for the version before this one, which may run until it is replaced; a trigger carries what that
version writes over. A later migration drops both.
"""

import django.contrib.postgres.fields
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

FLAGS = """
ALTER TABLE bookings_booking ADD COLUMN flags varchar(10)[] NOT NULL DEFAULT '{}';
UPDATE bookings_booking SET flags = ARRAY[attention] WHERE attention <> '';
CREATE FUNCTION booking_attention_carry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.flags := CASE NEW.attention WHEN '' THEN '{}'::varchar[] ELSE ARRAY[NEW.attention] END;
    RETURN NEW;
END $$;
CREATE TRIGGER attention_carry BEFORE UPDATE OF attention ON bookings_booking
    FOR EACH ROW EXECUTE FUNCTION booking_attention_carry();
"""
UNDO = """
DROP TRIGGER attention_carry ON bookings_booking;
DROP FUNCTION booking_attention_carry();
UPDATE bookings_booking SET attention = coalesce(flags[1], '')
WHERE attention IS DISTINCT FROM coalesce(flags[1], '');
ALTER TABLE bookings_booking DROP COLUMN flags;
"""


class Migration(migrations.Migration):
    dependencies = [("bookings", "0008_idempotency_moves")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FLAGS, UNDO)],
            state_operations=[
                migrations.RemoveIndex("booking", "booking_needs_attention"),
                migrations.RemoveField("booking", "attention"),
                migrations.AddField(
                    "booking",
                    "attention",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("hours", "Outside of the opening hours"),
                                ("occupied", "Another party still sits at its table"),
                                ("tables", "Its tables are gone or too small"),
                                ("zone", "The restaurant's clock was changed"),
                            ],
                            max_length=10,
                        ),
                        blank=True,
                        db_column="flags",
                        db_default=[],
                        default=list,
                        size=None,
                        verbose_name="needs attention",
                    ),
                ),
            ],
        ),
        AddConstraintNotValid(
            "booking",
            models.CheckConstraint(
                name="booking_attention",
                condition=models.Q(attention__contained_by=["hours", "tables", "zone"]),
            ),
        ),
    ]
