from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("bookings", "0009_attention_set")]

    operations = [
        ValidateConstraint("booking", "booking_attention"),
        AddIndexConcurrently(
            model_name="booking",
            index=models.Index(
                condition=models.Q(("attention", []), _negated=True),
                fields=["restaurant", "start"],
                name="booking_flagged",
            ),
        ),
    ]
