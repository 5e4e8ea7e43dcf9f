"""`manage.py makemessages`, with English as the code has it and without guesses."""

import subprocess
from pathlib import Path

from django.core.management.commands import makemessages

WRITTEN_IN = "en"


class Command(makemessages.Command):
    # A sentence that is like a new one says something else.
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]

    def write_po_file(self, potfile: str, locale: str) -> None:
        super().write_po_file(potfile, locale)
        if locale == WRITTEN_IN:
            po = Path(potfile).parent / locale / "LC_MESSAGES" / f"{self.domain}.po"
            subprocess.run(["msgen", "--output-file", po, po], check=True)
