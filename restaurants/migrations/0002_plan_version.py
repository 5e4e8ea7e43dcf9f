"""Joins and combos stay within one sector; every change of the plan is numbered."""

from django.db import migrations

SAME_SECTOR = """
ALTER TABLE restaurants_tablejoin
    ADD CONSTRAINT table_join_first_in_sector FOREIGN KEY (sector_id, first_id)
        REFERENCES restaurants_table (sector_id, id) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT table_join_second_in_sector FOREIGN KEY (sector_id, second_id)
        REFERENCES restaurants_table (sector_id, id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE restaurants_combotable
    ADD CONSTRAINT combo_table_table_in_sector FOREIGN KEY (sector_id, table_id)
        REFERENCES restaurants_table (sector_id, id) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT combo_table_combo_in_sector FOREIGN KEY (sector_id, combo_id)
        REFERENCES restaurants_combo (sector_id, id) DEFERRABLE INITIALLY DEFERRED;
"""
SAME_SECTOR_UNDO = """
ALTER TABLE restaurants_combotable
    DROP CONSTRAINT combo_table_table_in_sector, DROP CONSTRAINT combo_table_combo_in_sector;
ALTER TABLE restaurants_tablejoin
    DROP CONSTRAINT table_join_first_in_sector, DROP CONSTRAINT table_join_second_in_sector;
"""

# The restaurant's own row is numbered anew on each write, whatever version the writer had in hand; every
# row below it touches that row. Moving a row between parents touches both. One sequence for all, so that a
# number never comes twice, not even for a restaurant that was deleted, or rolled back, and made again.
NUMBERED = """
CREATE SEQUENCE restaurants_plan_version;
CREATE FUNCTION restaurant_plan_next() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.plan_version := nextval('restaurants_plan_version');
    RETURN NEW;
END $$;
CREATE TRIGGER plan_next BEFORE INSERT OR UPDATE ON restaurants_restaurant
    FOR EACH ROW EXECUTE FUNCTION restaurant_plan_next();

CREATE FUNCTION restaurant_plan_touch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    parents text[] := '{}';
    old_row jsonb; new_row jsonb;
BEGIN
    IF TG_OP <> 'INSERT' THEN old_row := to_jsonb(OLD); parents := parents || (old_row ->> TG_ARGV[1]); END IF;
    IF TG_OP <> 'DELETE' THEN new_row := to_jsonb(NEW); parents := parents || (new_row ->> TG_ARGV[1]); END IF;
    IF TG_ARGV[0] = 'restaurant' THEN
        UPDATE restaurants_restaurant SET id = id WHERE id = ANY (parents);
    ELSIF TG_ARGV[0] = 'sector' THEN
        UPDATE restaurants_restaurant SET id = id
        WHERE id IN (SELECT restaurant_id FROM restaurants_sector WHERE id = ANY (parents));
    ELSE
        UPDATE restaurants_restaurant SET id = id
        WHERE id IN (SELECT restaurant_id FROM restaurants_specialday WHERE id::text = ANY (parents));
    END IF;
    RETURN NULL;
END $$;
"""
NUMBERED_UNDO = """
DROP TRIGGER plan_next ON restaurants_restaurant;
DROP FUNCTION restaurant_plan_touch();
DROP FUNCTION restaurant_plan_next();
DROP SEQUENCE restaurants_plan_version;
"""

CHILDREN = [
    ("servicewindow", "restaurant", "restaurant_id"),
    ("specialday", "restaurant", "restaurant_id"),
    ("turntime", "restaurant", "restaurant_id"),
    ("sector", "restaurant", "restaurant_id"),
    ("table", "sector", "sector_id"),
    ("tablejoin", "sector", "sector_id"),
    ("combo", "sector", "sector_id"),
    ("combotable", "sector", "sector_id"),
    ("specialwindow", "day", "day_id"),
]


class Migration(migrations.Migration):
    dependencies = [("restaurants", "0001_initial")]

    operations = [
        migrations.RunSQL(SAME_SECTOR, SAME_SECTOR_UNDO),
        migrations.RunSQL(NUMBERED, NUMBERED_UNDO),
        *[
            migrations.RunSQL(
                f"CREATE TRIGGER plan_touch AFTER INSERT OR UPDATE OR DELETE ON restaurants_{table} "
                f"FOR EACH ROW EXECUTE FUNCTION restaurant_plan_touch('{parent}', '{column}')",
                f"DROP TRIGGER plan_touch ON restaurants_{table}",
            )
            for table, parent, column in CHILDREN
        ],
    ]
