"""Events and audit entries stay as they were written; a sleeping relay is woken.

Truncating stays possible: it is what tests do, and nothing an application role may be granted.
"""

from django.db import migrations

KEPT = """
CREATE FUNCTION events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% rows are never %', TG_TABLE_NAME, CASE TG_OP WHEN 'DELETE' THEN 'deleted' ELSE 'changed' END
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER never_deleted BEFORE DELETE ON events_storedevent
    FOR EACH ROW EXECUTE FUNCTION events_refuse();
CREATE TRIGGER never_changed BEFORE UPDATE OF position, event_id, aggregate_type, aggregate_id, version, event_type,
        occurred_at, payload, metadata ON events_storedevent
    FOR EACH ROW EXECUTE FUNCTION events_refuse();
CREATE TRIGGER published_once BEFORE UPDATE OF published_at ON events_storedevent
    FOR EACH ROW WHEN (OLD.published_at IS NOT NULL OR NEW.published_at IS NULL) EXECUTE FUNCTION events_refuse();
CREATE TRIGGER never_deleted BEFORE DELETE ON events_auditentry
    FOR EACH ROW EXECUTE FUNCTION events_refuse();
CREATE TRIGGER never_changed BEFORE UPDATE ON events_auditentry
    FOR EACH ROW EXECUTE FUNCTION events_refuse();
"""
KEPT_UNDO = """
DROP TRIGGER never_changed ON events_auditentry;
DROP TRIGGER never_deleted ON events_auditentry;
DROP TRIGGER published_once ON events_storedevent;
DROP TRIGGER never_changed ON events_storedevent;
DROP TRIGGER never_deleted ON events_storedevent;
DROP FUNCTION events_refuse();
"""

# The number is relay.WAKE_LOCK, which a relay holds while it sleeps; why, is told in relay.py.
WAKE = """
CREATE FUNCTION events_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock_shared(1464814410) THEN
        NOTIFY wokibrain_events;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER wake AFTER INSERT ON events_storedevent
    FOR EACH STATEMENT EXECUTE FUNCTION events_wake();
"""
WAKE_UNDO = """
DROP TRIGGER wake ON events_storedevent;
DROP FUNCTION events_wake();
"""

# Every event is updated once and leaves the index of the unpublished: clean up early, by count and not by share.
VACUUM = """
ALTER TABLE events_storedevent SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 20000);
"""
VACUUM_UNDO = "ALTER TABLE events_storedevent RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)"


class Migration(migrations.Migration):
    dependencies = [("events", "0002_books")]

    operations = [
        migrations.RunSQL(KEPT, KEPT_UNDO),
        migrations.RunSQL(WAKE, WAKE_UNDO),
        migrations.RunSQL(VACUUM, VACUUM_UNDO),
    ]
