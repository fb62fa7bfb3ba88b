"""Redacts addresses and content from a relay's reply: servers like to quote both."""

import re
from collections.abc import Iterable
from typing import Final

from tidings.delivery.ports import Content

LONGEST: Final = 200
"""Characters of a reply that are recorded."""
_READABLE: Final = 200_000
"""Content longer than this is not searched: the reply is dropped instead."""

_HIDDEN: Final = "(address)"
_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;]+")
_WORD = re.compile(r"\w+")
_TAG = re.compile(r"<[^>]*>")


def redact(text: str, addresses: Iterable[str], content: Content) -> str:
    """The reply on one line, shortened, without addresses and words of the content."""
    if len(content.text) + len(content.html or "") > _READABLE:
        return ""
    return _without(redact_addresses(text, addresses), content)[:LONGEST]


def redact_addresses(text: str, addresses: Iterable[str]) -> str:
    """The reply on one line, without addresses."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = line[: LONGEST * 5]
    for address in addresses:
        line = re.sub(re.escape(address), _HIDDEN, line, flags=re.IGNORECASE)
        local = address.rpartition("@")[0]
        if len(local) > 2:
            line = re.sub(rf"(?<!\w){re.escape(local)}(?!\w)", _HIDDEN, line, flags=re.IGNORECASE)
    return _ADDRESS.sub(_HIDDEN, line)


def _without(line: str, content: Content) -> str:
    """The line without runs of words, names and numbers that occur in the content."""
    content_words = [
        word.lower()
        for part in (content.subject, content.text, _TAG.sub(" ", content.html or ""))
        for word in _WORD.findall(part)
    ]
    reply_words = list(_WORD.finditer(line))
    for start, end in reversed(_runs(_quoted([word[0] for word in reply_words], content_words))):
        line = line[: reply_words[start].start()] + "…" + line[reply_words[end].end() :]
    return line


def _quoted(reply_words: list[str], content_words: list[str]) -> list[bool]:
    """For each word of a reply, whether it quotes the content."""
    sequence, known = f" {' '.join(content_words)} ", set(content_words)
    quoted = [
        index > 0 and word.lower() in known and (word[0].isupper() or _numeric(word))
        for index, word in enumerate(reply_words)
    ]
    for index in range(len(reply_words) - 2):
        if f" {' '.join(reply_words[index : index + 3]).lower()} " in sequence:
            quoted[index : index + 3] = [True] * 3
    return quoted


def _numeric(word: str) -> bool:
    return len(word) > 3 and any(c.isdigit() for c in word)


def _runs(flags: list[bool]) -> list[tuple[int, int]]:
    """First and last index of each run of true flags."""
    starts = [i for i, flag in enumerate(flags) if flag and not (i and flags[i - 1])]
    ends = [i for i, flag in enumerate(flags) if flag and flags[i + 1 : i + 2] != [True]]
    return list(zip(starts, ends, strict=True))
