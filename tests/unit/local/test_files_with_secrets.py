"""What has passwords in it is readable by its owner alone, whoever could read it before."""

import os
import stat
from pathlib import Path

import pytest

from tidings_local.data_directory import write_private


@pytest.mark.parametrize("before", [None, 0o644, 0o666])
def test_nobody_else_may_read_a_file_with_secrets(tmp_path: Path, before: int | None) -> None:
    path = tmp_path / "env"
    if before is not None:
        path.write_text("of yesterday")
        path.chmod(before)
    umask = os.umask(0)
    try:
        write_private(path, "export PASSWORD=x")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["env"]
    assert path.read_text() == "export PASSWORD=x"
