"""The engine: find the tables and start times that fit a party best. Standard library only."""

from bookings.engine.explain import Reason, Refusal, explain
from bookings.engine.occupancy import Busy, Occupancy
from bookings.engine.search import Candidate, find, merge, rank_key
from bookings.engine.sector import Sector, Table, natural_key
from bookings.engine.service_day import SLOT_MINUTES, RestrictedDay, ServiceDay, Window

__all__ = [
    "SLOT_MINUTES",
    "Busy",
    "Candidate",
    "Occupancy",
    "Reason",
    "Refusal",
    "RestrictedDay",
    "Sector",
    "ServiceDay",
    "Table",
    "Window",
    "explain",
    "find",
    "merge",
    "natural_key",
    "rank_key",
]
