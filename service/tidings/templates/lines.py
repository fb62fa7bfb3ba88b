"""Decides which line breaks of a template file are layout and which belong to the message.

A line that contains only tags produces no line. Jinja's `trim_blocks` removes it, but it also joins
`Total{% if sale %} (sale){% endif %}` to the next line. Such lines are marked to keep their line break.
"""

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"(?P<raw>\{%[-+]?\s*raw\b.*?\bendraw\s*[-+]?%\})"
    r"|(?P<printed>\{\{.*?\}\})"
    r"|\{(?P<kind>[%#]).*?(?P=kind)\}",
    re.DOTALL,
)


def with_line_ends(source: str) -> str:
    """The source, with a `+` in each tag that ends a line with other text on it.

    Line numbers stay the same, so errors name the right line.
    """
    return "".join(_pieces(source))


def _pieces(source: str) -> Iterator[str]:
    position, busy = 0, False
    for token in _TOKEN.finditer(source):
        before = source[position : token.start()]
        yield before
        busy = _is_busy(before, busy) or token["kind"] is None
        position = token.end()
        keeps_end = busy and source.startswith(("\n", "\r"), position)
        yield _marked(token[0]) if keeps_end and not token["printed"] else token[0]
    yield source[position:]


def _is_busy(text: str, busy: bool) -> bool:
    """Whether the last line of the text has content; `busy`: it had some before the text."""
    *above, last = re.split(r"[\r\n]", text)
    return bool(last.strip()) or (busy and not above)


def _marked(tag: str) -> str:
    if tag[-3] in "-+":
        return tag
    return f"{tag[:-2]}+{tag[-2:]}"
