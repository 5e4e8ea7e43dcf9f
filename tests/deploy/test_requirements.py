"""Requirements match imports: the product must run without packages that only the tests need."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions

from wokibrain.core import env

OURS = {"wokibrain", "restaurants", "bookings", "webhooks", "tests"}
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?==([^\s;#]+)", re.M)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, str]:
    text = (env.ROOT / file).read_text(encoding="utf-8")
    return {normal(name): version for name, version in PINNED.findall(text)}


def imported() -> Iterator[str]:
    for package in OURS - {"tests"}:
        for file in (env.ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    yield from (alias.name.split(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                    yield node.module.split(".")[0]


def test_every_import_of_the_product_is_a_direct_requirement() -> None:
    distributions = packages_distributions()
    foreign = set(imported()) - OURS - set(sys.stdlib_module_names)
    # These two are parts of Django and pydantic, and pinned with them.
    direct = set(pins("requirements.txt")) | {"asgiref", "pydantic-core"}
    missing = {
        name for name in foreign if not {normal(one) for one in distributions.get(name, [name])} & direct
    }
    assert missing == set()


def test_lock_agrees_with_the_requirements() -> None:
    lock = pins("requirements.lock")
    requirements = pins("requirements.txt") | pins("requirements-dev.txt")
    assert {name: lock.get(name) for name in requirements} == requirements


def test_requirements_name_no_package_index() -> None:
    for file in ("requirements.txt", "requirements-dev.txt", "requirements.lock"):
        text = (env.ROOT / file).read_text(encoding="utf-8")
        assert "://" not in text
        assert not re.search(r"^--?(i|f|index-url|extra-index-url|find-links)\b", text, re.M)
