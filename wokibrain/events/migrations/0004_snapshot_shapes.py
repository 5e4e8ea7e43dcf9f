"""A snapshot belongs to the payload shapes it was made in. There are none yet that would be lost."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0003_kept")]

    operations = [
        migrations.DeleteModel(name="Snapshot"),
        migrations.CreateModel(
            name="Snapshot",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "aggregate_type", "aggregate_id", "version", "shapes",
                        blank=True, editable=False, primary_key=True, serialize=False,
                    ),
                ),
                ("aggregate_type", models.CharField(max_length=30)),
                ("aggregate_id", models.CharField(max_length=50)),
                ("version", models.PositiveIntegerField()),
                ("shapes", models.PositiveSmallIntegerField(default=0)),
                ("occurred_at", models.DateTimeField()),
                ("state", models.JSONField()),
            ],
            options={"verbose_name": "snapshot", "verbose_name_plural": "snapshots"},
        ),
    ]
