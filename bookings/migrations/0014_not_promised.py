"""Index what has no promise, so that finding it needs no look at all bookings; tables stay open meanwhile."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("bookings", "0013_promises_of_what_comes")]

    operations = [
        AddIndexConcurrently(
            model_name="booking",
            index=models.Index(
                condition=models.Q(("promised_start__isnull", True)),
                fields=["end", "id"],
                name="booking_not_promised",
            ),
        ),
        AddIndexConcurrently(
            model_name="tableblock",
            index=models.Index(
                condition=models.Q(("promised_start__isnull", True)),
                fields=["end", "id"],
                name="table_block_not_promised",
            ),
        ),
    ]
