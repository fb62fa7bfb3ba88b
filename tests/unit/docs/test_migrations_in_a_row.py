"""Migrations form one row: two that were written at the same time don't take the same number."""

import re
from pathlib import Path
from typing import Final

VERSIONS: Final = Path("service/tidings/ledger/migrations/versions")


def test_each_migration_follows_the_one_before() -> None:
    files = sorted(VERSIONS.glob("[0-9]*.py"))
    for number, file in enumerate(files, 1):
        text = file.read_text("utf-8")
        before = f'"{number - 1:04}"' if number > 1 else "None"
        assert file.name.startswith(f"{number:04}_"), file
        assert re.search(rf'^revision\b.*= "{number:04}"$', text, re.MULTILINE), file
        assert re.search(rf"^down_revision\b.*= {before}$", text, re.MULTILINE), file
