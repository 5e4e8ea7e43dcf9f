"""Measure, print, and write docs/benchmarks.md: ``make bench``, or ``make bench ARGS="engine http"`` for a part.

The document's figures of parts that are not measured stay.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.report import Section, machine

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
PARTS = {
    "engine": "Engine",
    "http": "HTTP",
    "access": "Callers and limits",
    "events": "Events",
    "webhooks": "Webhooks",
    "board": "Floor board",
}
NOTES = {
    "engine": [
        "Milliseconds of CPU for one search of the ten best, exact. Wanted: median 0.25 at 20 tables, 1 at 500, "
        "50 in the worst case found; its slowest runs are just over that."
    ],
}


def measured(part: str) -> Iterator[Section]:
    """Return the sections of one part: from its module's ``sections``, or one made of its ``run``'s rows."""
    module = importlib.import_module(f"tests.benchmarks.{part}")
    if hasattr(module, "sections"):
        yield from module.sections()
        return
    rows = module.run()
    columns = [field.name.replace("_", " ") for field in dataclasses.fields(rows[0])]
    cells = [[_cell(value) for value in dataclasses.astuple(row)] for row in rows]
    yield Section(PARTS[part], columns, cells, NOTES.get(part, ()))


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="what to measure; all by default")
    parts = parser.parse_args().parts or list(PARTS)
    with tempfile.TemporaryDirectory(prefix="wokibrain-bench-") as folder:
        os.environ |= {
            "ENVIRONMENT": "test",
            "DATA_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "wokibrain.settings",
        }
        import django

        django.setup()
        texts = _present_sections()
        for part in parts:
            text = [f"<!-- {part} -->", f"_{machine()}_", ""]
            for section in measured(part):
                print(section.markdown(), flush=True)
                text.append(section.markdown())
            texts[part] = "\n".join(text).rstrip() + "\n"
    DOCUMENT.parent.mkdir(exist_ok=True)
    head = "# Benchmarks\n\n`make bench` measures all of this again. Each figure stands beside its ceiling or target.\n"
    DOCUMENT.write_text("\n".join([head, *(texts[part] for part in PARTS if part in texts)]))
    print(f"Written to {DOCUMENT.relative_to(DOCUMENT.parents[1])}.")
    return 0


def _present_sections() -> dict[str, str]:
    """Return the document's present sections by part."""
    if not DOCUMENT.exists():
        return {}
    pieces = re.split(r"^(?=<!-- \w+ -->$)", DOCUMENT.read_text(), flags=re.MULTILINE)
    return {piece[5 : piece.index(" -->")]: piece for piece in pieces if piece.startswith("<!-- ")}


if __name__ == "__main__":
    sys.exit(main())
