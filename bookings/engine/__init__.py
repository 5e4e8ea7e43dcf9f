"""The engine: which tables, at which quarter hour, for how good a fit. Standard library only."""

from bookings.engine.availability import Busy, Occupancy
from bookings.engine.grid import SLOT_MINUTES, AskedDay, ServiceDay, Window
from bookings.engine.refusal import Reason, Refusal, explain
from bookings.engine.sector import SectorPlan, Table, natural_key
from bookings.engine.selection import Candidate, find, merge, rank_key

__all__ = [
    "SLOT_MINUTES",
    "AskedDay",
    "Busy",
    "Candidate",
    "Occupancy",
    "Reason",
    "Refusal",
    "SectorPlan",
    "ServiceDay",
    "Table",
    "Window",
    "explain",
    "find",
    "merge",
    "natural_key",
    "rank_key",
]
