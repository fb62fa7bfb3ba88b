"""Migrations that were written side by side have numbers of their own, and one line to follow."""

from pathlib import Path

from alembic.script import ScriptDirectory

from tidings.ledger import migrations


def test_each_migration_follows_the_one_with_the_number_before() -> None:
    (folder,) = migrations.__path__
    script = ScriptDirectory(folder)
    assert len(script.get_heads()) == 1
    every = {revision.revision: revision for revision in script.walk_revisions()}
    files = sorted(Path(folder, "versions").glob("[0-9]*.py"))
    assert [path.name[:4] for path in files] == [
        f"{number:04}" for number in range(1, len(files) + 1)
    ]
    assert sorted(every) == [path.name[:4] for path in files]
