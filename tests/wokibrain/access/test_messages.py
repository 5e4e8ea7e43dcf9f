"""Every sentence in every language: all are translated, and the compiled catalogues up to date."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils.translation.template import templatize
from rest_framework.test import APIClient

ROOT = Path(__file__).resolve().parents[3]
CODE = ("bookings", "restaurants", "webhooks", "wokibrain")
CALLS = {
    "_",
    "gettext",
    "gettext_lazy",
    "gettext_noop",
    "ngettext",
    "ngettext_lazy",
    "pgettext",
    "pgettext_lazy",
}
TEXT = r"""(?:u?'((?:[^'\\]|\\.)*)'|u?"((?:[^"\\]|\\.)*)")"""
IN_TEMPLATE = re.compile(r"\b(?:n|np|p)?gettext\(" + TEXT + r"|\b_\(" + TEXT)
IN_SCRIPT = re.compile(r"\bn?gettext\(\s*" + TEXT)
DOMAINS = ("django", "djangojs")
SLOTS = re.compile(r"%\(\w+\)[sd]|\{\w*\}")


def literals(node: ast.Call) -> Iterator[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in CALLS:
        return
    arguments = node.args[:1]
    for argument in node.args[1:2] if name.startswith("pgettext") else arguments:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and argument.value:
            yield argument.value


def in_the_code() -> dict[str, str]:
    """Yield each string that Python or a template marks for translation, with its file."""
    strings: dict[str, str] = {}
    for package in CODE:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call):
                    strings |= {text: str(file.relative_to(ROOT)) for text in literals(node)}
    pages = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "templates").rglob("*.txt")]
    for file in sorted(
        [*pages, *(page for name in CODE for page in (ROOT / name).rglob("templates/**/*.html"))]
    ):
        source = templatize(file.read_text())
        for groups in IN_TEMPLATE.findall(source):
            text = next(filter(None, groups), "")
            strings |= {ast.literal_eval(f'"{text}"'): str(file.relative_to(ROOT))} if text else {}
    return strings


def in_the_scripts() -> dict[str, str]:
    """Yield each string that a script of ours marks for translation, with its file."""
    strings: dict[str, str] = {}
    for file in sorted(script for name in CODE for script in (ROOT / name).rglob("static/**/*.js")):
        for groups in IN_SCRIPT.findall(file.read_text()):
            text = next(filter(None, groups))
            strings[ast.literal_eval(f'"{text}"')] = str(file.relative_to(ROOT))
    return strings


def catalogues(language: str, domain: str) -> list[Path]:
    """Return the catalogues of that language: the project's and the apps'."""
    path = f"locale/{language}/LC_MESSAGES/{domain}.po"
    return sorted(catalogue for name in CODE for catalogue in (ROOT / name).rglob(path))


def po(file: Path) -> dict[str, str]:
    """Read a catalogue's source; an entry marked fuzzy counts as untranslated."""
    entries: dict[str, str] = {}
    for block in re.split(r"\n\s*\n", file.read_text()):
        parts: dict[str, str] = {}
        field = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if match := re.match(r'(msgid|msgid_plural|msgstr(?:\[0\])?) (".*")', line):
                field = match[1].removesuffix("[0]")
                parts[field] = ast.literal_eval(match[2])
            elif line.startswith('"') and field:
                parts[field] += ast.literal_eval(line)
            else:
                field = ""
        if parts.get("msgid"):
            entries[parts["msgid"]] = "" if "#, fuzzy" in block else parts.get("msgstr", "")
    return entries


def mo(file: Path) -> dict[str, str]:
    with file.with_suffix(".mo").open("rb") as compiled:
        catalogue = gettext.GNUTranslations(compiled)._catalog  # type: ignore[attr-defined]
    return {
        key if isinstance(key, str) else key[0]: value
        for key, value in catalogue.items()
        if key and (isinstance(key, str) or key[1] == 0)
    }


def translations(language: str, domain: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for file in catalogues(language, domain):
        entries |= {text: translation for text, translation in po(file).items() if translation}
    return entries


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(("domain", "sources"), [("django", in_the_code), ("djangojs", in_the_scripts)])
def test_no_string_is_untranslated(language: str, domain: str, sources: Callable[[], dict[str, str]]) -> None:
    translated = translations(language, domain)
    missing = {text: file for text, file in sources().items() if text not in translated}
    assert missing == {}, "run `make messages`, translate, run it again"


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", ["en", "es"])
def test_no_entry_is_empty_or_a_guess(language: str, domain: str) -> None:
    unsure = [
        text
        for file in catalogues(language, domain)
        for text, translation in po(file).items()
        if not translation
    ]
    assert unsure == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_english_catalogue_equals_the_code(domain: str) -> None:
    assert {
        text: translation for text, translation in translations("en", domain).items() if translation != text
    } == {}


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_string_is_in_one_catalogue_only(domain: str) -> None:
    """If two catalogues have it, the order of Django's settings decides, and the other entry has no effect."""
    stands = [text for file in catalogues("es", domain) for text in po(file)]
    assert [text for text in set(stands) if stands.count(text) > 1] == []


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_compiled_catalogue_is_up_to_date(language: str, domain: str) -> None:
    for file in catalogues(language, domain):
        assert mo(file) == {text: translation for text, translation in po(file).items() if translation}, file


@pytest.mark.parametrize("domain", DOMAINS)
def test_english_translations_equal_their_source(domain: str) -> None:
    entries = {
        text: translation for file in catalogues("en", domain) for text, translation in po(file).items()
    }
    assert entries == {text: text for text in entries}


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_translation_keeps_the_placeholders(domain: str) -> None:
    wrong = [
        text
        for text, translation in translations("es", domain).items()
        if sorted(SLOTS.findall(text)) != sorted(SLOTS.findall(translation))
    ]
    assert wrong == []


def test_canary_an_untranslated_string_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary."""
    for name in (*CODE, "templates"):
        (tmp_path / name).mkdir()
    (tmp_path / "bookings" / "new.py").write_text(
        'from x import gettext_lazy as _\nA = _("Never said before")\n'
    )
    (tmp_path / "templates" / "new.html").write_text("{% load i18n %}{% translate 'Nor this' %}")
    (tmp_path / "bookings" / "static").mkdir()
    (tmp_path / "bookings" / "static" / "new.js").write_text("ngettext(\n  'Nor that', 'Nor those', 2)")
    monkeypatch.setattr("tests.wokibrain.access.test_messages.ROOT", tmp_path)
    assert in_the_code() == {
        "Never said before": str(Path("bookings/new.py")),
        "Nor this": str(Path("templates/new.html")),
    }
    assert in_the_scripts() == {"Nor that": str(Path("bookings/static/new.js"))}


def test_errors_are_in_the_callers_language(db: None) -> None:
    for header, detail, language in (
        ("es-AR,es;q=0.9", "No existe o no tienes acceso.", "es"),
        ("de, en;q=0.5", "Not found, or you do not have access to it.", "en"),
    ):
        response = APIClient().get("/api/v1/woki/bookings/NOBODY", HTTP_ACCEPT_LANGUAGE=header)
        assert (response.json()["error"], response.json()["detail"]) == ("NOT_FOUND", detail)
        assert response["Content-Language"] == language
