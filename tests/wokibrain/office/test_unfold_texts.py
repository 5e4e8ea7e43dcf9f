"""The admin theme speaks the reader's language: what Unfold's own pages say is in our catalogues."""

from __future__ import annotations

import ast
from pathlib import Path

import unfold
from django.conf import settings
from django.utils import translation
from django.utils.translation.template import templatize

from tests.wokibrain.access.test_messages import IN_TEMPLATE, literals
from wokibrain.office.unfold_texts import UNFOLD_TEXTS

SOURCES = Path(unfold.__file__).parent
UNUSED = ("forms/helpers/toolbar.html", "unfold_crispy/layout/table_inline_formset.html")
"""Pages of a text editor and of a form library that the product does not use."""
NOT_SHOWN = {
    "Choose file to upload", "Click to download", "Image preview", "Record picture",  # no files
    "Dataset not found. No action performed.",
    "Select currency",
    "You can not create nested object without parent",
}  # fmt: skip
SAME_IN_SPANISH = {"General", "No"}


def is_installed(file: Path) -> bool:
    """Return whether a file belongs to Unfold itself or to one of its apps that the settings name."""
    folder, app, *_ = (*file.relative_to(SOURCES).parts, "")
    installed = folder != "contrib" or f"unfold.contrib.{app}" in settings.INSTALLED_APPS
    return installed and not file.as_posix().endswith(UNUSED)


def texts() -> set[str]:
    """Return what Unfold's installed parts mark for translation, but for texts of several lines."""
    found: set[str] = set()
    for file in filter(is_installed, SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            found |= set(literals(node)) if isinstance(node, ast.Call) else set()
    for file in filter(is_installed, SOURCES.rglob("*.html")):
        for groups in IN_TEMPLATE.findall(templatize(file.read_text())):
            # Texts in single quotes and in double ones are groups of their own.
            found |= {
                ast.literal_eval(f"{quote}{text}{quote}")
                for text, quote in zip(groups, "'\"'\"", strict=True)
                if text
            }
    return {text for text in found if text and "\n" not in text}


def test_every_text_that_unfold_shows_is_translated() -> None:
    with translation.override("es"):
        untranslated = {text for text in texts() if translation.gettext(text) == text}
    assert untranslated == NOT_SHOWN | SAME_IN_SPANISH


def test_every_text_that_is_translated_for_unfold_is_still_its_own() -> None:
    assert set(UNFOLD_TEXTS) - texts() == set()
