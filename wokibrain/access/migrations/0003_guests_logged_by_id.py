"""The admin's log keeps no guest's name: it would stay there after the guest was erased."""

from django.db import migrations

BY_ID = """
UPDATE django_admin_log AS entry SET object_repr = entry.object_id
FROM django_content_type AS kind
WHERE kind.id = entry.content_type_id AND kind.app_label = 'bookings' AND kind.model = 'guest';
"""


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0002_sessions_scopes"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunSQL(BY_ID, migrations.RunSQL.noop)]
