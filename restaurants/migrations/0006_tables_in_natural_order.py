from django.db import migrations
from django.db.models import F, Value
from django.db.models.functions import Coalesce, NullIf

from restaurants.models.natural_order import NaturalKey


class Migration(migrations.Migration):
    dependencies = [("restaurants", "0005_occupied_margin")]

    operations = [
        migrations.AlterModelOptions(
            name="table",
            options={
                "ordering": ("position", NaturalKey(Coalesce(NullIf(F("name"), Value("")), F("id"))), "id"),
                "verbose_name": "table",
                "verbose_name_plural": "tables",
            },
        ),
    ]
