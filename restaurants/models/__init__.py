"""A restaurant as a place with opening times, rooms and tables.

Every write to what decides availability bumps ``Restaurant.plan_version`` by a database trigger
(migration 0002), whoever writes: processes that keep the plan in memory compare it on each read.

A table joins at most MAX_JOINS others: as many as surround it on a floor plan's grid. The engine looks
through every connected set of 2-4 tables; 500 tables with eight joins each make 142,000 at most, which
takes 45 ms (docs/benchmarks.md: all alike, half free); with twelve they make 509,000 and take 170 ms.
"""

from restaurants.models.calendar import (
    FALLBACK_TURN_MINUTES,
    ServiceWindow,
    SpecialDay,
    SpecialWindow,
    TurnTime,
    Weekday,
)
from restaurants.models.restaurant import Restaurant
from restaurants.models.sector import Combo, ComboTable, Sector, Table, TableJoin
from restaurants.models.values import (
    MAX_COMBO_TABLES,
    MAX_JOINS,
    MAX_PARTY,
    restaurant_id,
    sector_id,
    table_id,
    valid_id,
    valid_quarters,
    valid_zone,
)

__all__ = [
    "FALLBACK_TURN_MINUTES",
    "MAX_COMBO_TABLES",
    "MAX_JOINS",
    "MAX_PARTY",
    "Combo",
    "ComboTable",
    "Restaurant",
    "Sector",
    "ServiceWindow",
    "SpecialDay",
    "SpecialWindow",
    "Table",
    "TableJoin",
    "TurnTime",
    "Weekday",
    "restaurant_id",
    "sector_id",
    "table_id",
    "valid_id",
    "valid_quarters",
    "valid_zone",
]
