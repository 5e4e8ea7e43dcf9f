import ast
import re

from wokibrain.core import env

READERS = {"text", "integer", "flag", "items", "seconds", "numbers", "choice"}


def read_by_the_product() -> set[str]:
    """Return the names of all settings that the code reads through `wokibrain.core.env`."""
    names = set()
    for package in ("wokibrain", "restaurants", "bookings", "webhooks"):
        for file in (env.ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    # `wokibrain.core.env` itself reads two, by the functions' bare names.
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="env"), attr=reader) | ast.Name(id=reader),
                        args=[ast.Constant(value=str(name)), *_],
                    ) if reader in READERS:
                        names.add(name)
    return names


def test_the_example_lists_exactly_our_settings() -> None:
    example = (env.ROOT / ".env.example").read_text(encoding="utf-8")
    documented = re.findall(r"^#([A-Z_]+)=", example, re.M)
    assert len(documented) == len(set(documented))
    assert set(documented) == read_by_the_product()


def test_the_unedited_example_changes_nothing() -> None:
    assert env.read_file(env.ROOT / ".env.example") == {}
