"""A restaurant with its opening times, sectors and tables.

A database trigger (migration 0002) increments ``Restaurant.plan_version`` on every write to what decides
availability: processes that keep the plan in memory compare it on each read.

A table joins at most MAX_JOINS others: as many as surround it on a floor plan's grid. The engine searches
every connected set of 2-4 tables: 500 tables with eight joins each have 142,000 at most, which takes 45 ms
(docs/benchmarks.md: all alike, half free); with twelve joins each they have 509,000, which takes 170 ms.
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
from restaurants.models.zones import ZoneRelease

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
    "ZoneRelease",
    "restaurant_id",
    "sector_id",
    "table_id",
    "valid_id",
    "valid_quarters",
    "valid_zone",
]
