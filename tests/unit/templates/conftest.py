"""A folder of templates made for one test."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tidings.templates import Templates

MakeTemplates = Callable[..., Templates]


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


@pytest.fixture
def make(tmp_path: Path) -> MakeTemplates:
    """Files → templates."""

    def make_templates(files: Mapping[str, str], **limits: Any) -> Templates:
        return Templates(write(tmp_path / "templates", files), **limits)

    return make_templates


@pytest.fixture
def render(make: MakeTemplates) -> Callable[..., str]:
    """The source of a text, and data → what it says."""

    def render(source: str, **data: object) -> str:
        templates = make({"note/default/sms.j2": source})
        return templates.render("note", None, data, required=("sms",))["sms"]

    return render
