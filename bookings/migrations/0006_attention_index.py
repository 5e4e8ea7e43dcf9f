from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("bookings", "0005_attention")]

    operations = [
        AddIndexConcurrently(
            model_name="booking",
            index=models.Index(
                condition=models.Q(("attention", ""), _negated=True),
                fields=["restaurant", "start"],
                name="booking_needs_attention",
            ),
        ),
    ]
