"""`manage.py makemessages` without fuzzy matches, and with the English catalogue filled from the code."""

import subprocess
from pathlib import Path

from django.core.management.commands import makemessages

SOURCE_LANGUAGE = "en"


class Command(makemessages.Command):
    # A similar sentence has another meaning; its translation would be wrong.
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]

    def write_po_file(self, potfile: str, locale: str) -> None:
        super().write_po_file(potfile, locale)
        if locale == SOURCE_LANGUAGE:
            po = Path(potfile).parent / locale / "LC_MESSAGES" / f"{self.domain}.po"
            subprocess.run(["msgen", "--output-file", po, po], check=True)
