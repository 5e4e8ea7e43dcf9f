import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("restaurants", "0004_zone_release")]

    operations = [
        migrations.AddField(
            model_name="restaurant",
            name="occupied_margin",
            field=models.PositiveSmallIntegerField(
                db_default=15,
                default=15,
                help_text="Minutes from now for which a table is not offered while a party sits there.",
                validators=[django.core.validators.MaxValueValidator(120)],
                verbose_name="margin at occupied tables",
            ),
        ),
        migrations.AddConstraint(
            model_name="restaurant",
            constraint=models.CheckConstraint(
                condition=models.Q(("occupied_margin__lte", 120)),
                name="restaurant_occupied_margin",
                violation_error_message="The margin at occupied tables is 0 to 120 minutes.",
            ),
        ),
    ]
