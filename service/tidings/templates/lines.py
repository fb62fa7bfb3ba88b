"""Which line breaks of a template's file are its author's layout and which are the message's.

A line that holds nothing but tags leaves no line behind. Jinja's `trim_blocks` sees to that, but it
also joins `Total{% if sale %} (sale){% endif %}` to the line below it. So such lines are told to
keep their end.
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
    """The same file, with a `+` in each tag that ends a line on which there is something else.

    Lines stay where they are, so errors name the right one.
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
    """Whether the line that text ends on has anything to say, which it may have had before."""
    *above, last = re.split(r"[\r\n]", text)
    return bool(last.strip()) or (busy and not above)


def _marked(tag: str) -> str:
    if tag[-3] in "-+":
        return tag
    return f"{tag[:-2]}+{tag[-2:]}"
