"""How production serves the floor board's modules: all of one release, and fetched at once."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from django.core.files.storage import FileSystemStorage

from bookings.floor.pages import MODULES
from wokibrain.core import env
from wokibrain.server.static_files import HashedStaticFiles

STATIC = env.ROOT / "bookings" / "static"
IMPORT = re.compile(r"""^(?:import\b[^;]*?|} )from ['"]\./([^'"]+)['"];$""", re.MULTILINE)


def imports(module: Path) -> set[str]:
    return {f"floor/{name}" for name in IMPORT.findall(module.read_text(encoding="utf-8"))}


def test_a_hashed_module_imports_hashed_modules(tmp_path: Path) -> None:
    source = FileSystemStorage(location=STATIC)
    paths = {f"floor/{path.name}": (source, f"floor/{path.name}") for path in STATIC.glob("floor/*.js")}
    (tmp_path / "floor").mkdir()
    for name in paths:
        shutil.copy(STATIC / name, tmp_path / name)
    storage = HashedStaticFiles(location=str(tmp_path), base_url="/static/")
    failures = [failed for _, _, failed in storage.post_process(paths) if isinstance(failed, Exception)]
    assert failures == []
    hashed = set(storage.hashed_files.values())
    assert len(hashed) == len(paths)
    for name in MODULES:
        assert imports(tmp_path / storage.hashed_files[name]) <= hashed
    assert len(imports(tmp_path / storage.hashed_files["floor/main.js"])) == 13


def test_the_board_fetches_all_its_modules_at_once() -> None:
    reached, pending = set[str](), {"floor/main.js"}
    while pending:
        name = pending.pop()
        reached.add(name)
        pending |= imports(STATIC / name) - reached
    assert sorted(reached) == sorted(MODULES)
    assert len(MODULES) == len(reached)
