"""Takes the stored answers over from bookings: every operation keeps them now. The table stays as it is."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = [("bookings", "0008_idempotency_moves")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="IdempotencyKey",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        ("caller", models.CharField(max_length=120)),
                        ("key", models.CharField(max_length=255)),
                        ("fingerprint", models.BinaryField(max_length=32)),
                        ("status", models.PositiveSmallIntegerField()),
                        ("body", models.TextField(blank=True)),
                        ("expires_at", models.DateTimeField(db_index=True)),
                        (
                            "booking",
                            models.ForeignKey(
                                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+",
                                to="bookings.booking",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "idempotency key",
                        "verbose_name_plural": "idempotency keys",
                        "db_table": "bookings_idempotencykey",
                        "constraints": [
                            models.UniqueConstraint(fields=("caller", "key"), name="idempotency_key_once")
                        ],
                    },
                ),
            ],
        ),
    ]
