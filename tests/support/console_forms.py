"""The forms of a page of the console: where each would be sent, by which buttons, and with which fields."""

import re
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit

from tests.support.console_rig import Shown

from tidings.console.page import ROOT, ConsolePage

INPUT: Final = re.compile(r'<input [^>]*?name="([^"]+)"[^>]*?value="([^"]*)"')
TEXTAREA: Final = re.compile(r'<textarea [^>]*?name="([^"]+)"[^>]*>\n?(.*?)</textarea>', re.DOTALL)


@dataclass(frozen=True)
class SubmitButton:
    """A button that sends a form by POST."""

    label: str
    path: str
    """Where to, below the root."""


class _Buttons(HTMLParser):
    """Reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, list[str]]] = []
        self._form: dict[str, str | None] = {}
        self._forms: dict[str, dict[str, str | None]] = {}
        self._open: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._form = given
            self._forms[given.get("id") or ""] = given
        elif tag == "button" and given.get("type", "submit") == "submit":
            form = self._forms.get(given["form"] or "", {}) if "form" in given else self._form
            method = given.get("formmethod") or form.get("method") or "get"
            action = given.get("formaction") or form.get("action") or ""
            self._open = []
            self.found.append((method, action, self._open))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = {}
        elif tag == "button":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open.append(data.strip())


def submit_buttons(html: str) -> list[SubmitButton]:
    """Every button of a page that sends a form by POST."""
    reader = _Buttons()
    reader.feed(html)
    return [
        SubmitButton(" ".join(label), urlsplit(action).path.removeprefix(ROOT))
        for method, action, label in reader.found
        if method.lower() == "post"
    ]


def matches(page: ConsolePage, path: str) -> bool:
    """Whether a page serves a path, as the router finds it."""
    wanted, given = page.path.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        part.startswith("{") or part == other for part, other in zip(wanted, given, strict=True)
    )


class EditForm:
    """What a browser would send of the form of a page.

    Args:
        shown: The page.
    """

    def __init__(self, shown: Shown) -> None:
        self.fields = {
            name: unescape(value)
            for pattern in (INPUT, TEXTAREA)
            for name, value in pattern.findall(shown.html)
        }

    def typed(self, **changes: str) -> dict[str, str]:
        """With some of its fields typed in; `__` stands for a full stop."""
        return {**self.fields, **{name.replace("__", "."): text for name, text in changes.items()}}
