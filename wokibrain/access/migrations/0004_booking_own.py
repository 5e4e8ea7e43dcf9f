"""A permission for callers that change and cancel what they booked themselves."""

import django.contrib.postgres.fields
from django.db import migrations, models

PERMISSIONS = [
    "booking:create", "booking:read", "booking:update", "booking:delete", "booking:own", "guest:read",
    "restaurant:create", "restaurant:read", "restaurant:update", "restaurant:delete", "table:create", "table:read",
    "table:update", "table:delete", "analytics:read", "webhook:manage",
]


class Migration(migrations.Migration):
    dependencies = [("access", "0003_guests_logged_by_id")]

    operations = [
        migrations.RemoveConstraint("apikey", "api_key_scopes_known"),
        migrations.AlterField(
            model_name="apikey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[(permission, permission) for permission in PERMISSIONS], max_length=30
                ),
                blank=True,
                help_text="Only these of the role's permissions; empty for all of them.",
                null=True,
                size=None,
                verbose_name="scopes",
            ),
        ),
        migrations.AddConstraint(
            "apikey",
            models.CheckConstraint(
                condition=models.Q(
                    ("scopes__isnull", True), ("scopes__contained_by", PERMISSIONS), _connector="OR"
                ),
                name="api_key_scopes_known",
            ),
        ),
    ]
