"""The report of the benchmarks: tables of figures, each beside its ceiling or target."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Section:
    """One table. ``notes`` state the target and, if it is missed, where the time goes."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    notes: Sequence[str] = field(default=())

    def markdown(self) -> str:
        lines = [f"## {self.title}", "", _row(self.columns), _row("---" for _ in self.columns)]
        lines += [_row(row) for row in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines).rstrip() + "\n"


def _row(cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"  # type: ignore[attr-defined]


def machine() -> str:
    """Return a description of the machine in one line."""
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {os.cpu_count()} cores shared by server, load "
        f"generator, Postgres and Redis, Python {platform.python_version()}; load average {load} at the start. "
        "One run a cell: differences under 15 % mean nothing."
    )
