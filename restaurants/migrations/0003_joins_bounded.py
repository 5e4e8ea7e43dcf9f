"""A table joins at most 8 others, and a sector defines at most 2,000 combos: what the engine is measured for."""

from django.db import migrations

BOUNDED = """
CREATE FUNCTION table_join_bounded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM restaurants_table WHERE id IN (NEW.first_id, NEW.second_id) ORDER BY id FOR NO KEY UPDATE;
    IF EXISTS (
        SELECT 1 FROM unnest(ARRAY[NEW.first_id, NEW.second_id]) AS joined (id)
        WHERE (SELECT count(*) FROM restaurants_tablejoin WHERE joined.id IN (first_id, second_id)) > 8
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'table_joins_at_most_eight',
            MESSAGE = 'a table joins at most 8 others';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bounded AFTER INSERT OR UPDATE ON restaurants_tablejoin
    FOR EACH ROW EXECUTE FUNCTION table_join_bounded();

CREATE FUNCTION combo_bounded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM restaurants_sector WHERE id = NEW.sector_id FOR NO KEY UPDATE;
    IF (SELECT count(*) FROM restaurants_combo WHERE sector_id = NEW.sector_id) > 2000 THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'combos_at_most_two_thousand',
            MESSAGE = 'a sector defines at most 2000 combinations of tables';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bounded AFTER INSERT OR UPDATE ON restaurants_combo
    FOR EACH ROW EXECUTE FUNCTION combo_bounded();
"""
UNDO = """
DROP TRIGGER bounded ON restaurants_combo;
DROP FUNCTION combo_bounded();
DROP TRIGGER bounded ON restaurants_tablejoin;
DROP FUNCTION table_join_bounded();
"""


class Migration(migrations.Migration):
    dependencies = [("restaurants", "0002_plan_version")]

    operations = [migrations.RunSQL(BOUNDED, UNDO)]
