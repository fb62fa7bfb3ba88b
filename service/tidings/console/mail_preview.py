"""Reduces the HTML of a mail to its words and structure, so that a page can show it: no styles, scripts, addresses or remote files."""

from html import escape
from html.parser import HTMLParser
from typing import Final

KEPT: Final = frozenset(
    [
        "p",
        "div",
        "br",
        "hr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "td",
        "th",
        "blockquote",
        "pre",
        "code",
        "strong",
        "b",
        "em",
        "i",
        "u",
        "s",
        "small",
        "sub",
        "sup",
        "span",
        "center",
    ]
)
"""Elements that are kept, without any attribute."""
EMPTY: Final = frozenset({"br", "hr"})
DROPPED: Final = frozenset(
    [
        "script",
        "style",
        "title",
        "template",
        "noscript",
        "iframe",
        "object",
        "svg",
        "math",
        "form",
        "select",
        "textarea",
        "audio",
        "video",
        "canvas",
    ]
)
"""Elements that are left out with all that is in them."""
VOID: Final = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
    ]
)
"""Elements that never end (HTML, 13.1.2)."""
LONGEST: Final = 512 * 1024
"""Characters that are looked at."""
DEEPEST: Final = 100
"""Elements within elements; deeper ones are left out, and their words are kept."""


class MailReducer(HTMLParser):
    """Writes what is kept; a link is followed by its address in brackets, an image is its description."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.written: list[str] = []
        self._open: list[str] = []
        self._dropped: list[str] = []
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped:
            if tag == self._dropped[-1]:
                self._dropped.append(tag)
        elif tag in DROPPED or (_is_hidden(attrs) and tag not in VOID):
            self._dropped.append(tag)
        elif tag == "a":
            self._links.append(dict(attrs).get("href") or "")
        elif tag == "img":
            if description := dict(attrs).get("alt"):
                self.written.append(escape(f"[image: {description}]"))
        elif tag in EMPTY:
            self.written.append(f"<{tag}>")
        elif tag in KEPT and len(self._open) < DEEPEST:
            self._open.append(tag)
            self.written.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            if tag == self._dropped[-1]:
                self._dropped.pop()
        elif tag == "a":
            if self._links and (address := self._links.pop()):
                self.written.append(escape(f" [{address}]"))
        elif tag in self._open:
            while (inner := self._open.pop()) != tag:
                self.written.append(f"</{inner}>")
            self.written.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._dropped:
            self.written.append(escape(data))

    def text(self) -> str:
        """All that was kept, every element closed."""
        return "".join([*self.written, *(f"</{tag}>" for tag in reversed(self._open))])


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    """Whether its recipient does not see it, as the words that only a list of mails shows."""
    style = (dict(attrs).get("style") or "").replace(" ", "").lower()
    return "display:none" in style


def reduced(html: str) -> str:
    """The HTML of a mail as a page may show it, in a frame of its own."""
    reducer = MailReducer()
    reducer.feed(html[:LONGEST])
    reducer.close()
    return reducer.text()
