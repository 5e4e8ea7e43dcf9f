from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("idempotency", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="idempotencykey",
            name="refused_at",
            field=models.DateTimeField(null=True),
        ),
    ]
