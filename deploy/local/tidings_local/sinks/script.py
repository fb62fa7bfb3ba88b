"""Decides what a sink does with a message: what its recipient's name says, or what a test told it.

A name may begin with a word, followed by how often: `fail-once`, `reject`, `greylist-3`. After that
many times the sink takes what it is given; without a number the word's own habit holds.
"""

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Behaviour(StrEnum):
    """What a sink does with one message."""

    ACCEPT = "accept"
    """Takes it and says so."""
    FAIL = "fail"
    """Says that it can't now."""
    GREYLIST = "greylist"
    """Says that it doesn't know us yet and that we may come again."""
    REJECT = "reject"
    """Refuses it for good."""
    THROTTLE = "throttle"
    """Says that we are too fast."""
    HANG = "hang"
    """Takes it and stays silent until we hang up."""
    DROP = "drop"
    """Takes it and hangs up without a word."""


@dataclass(frozen=True, slots=True)
class Script:
    """A behaviour, and how many times before the recipient's messages are taken; None: always."""

    behaviour: Behaviour
    times: int | None = None


_HABITS: Final[dict[str, int | None]] = {"greylist": 1, "throttle": 1}
_WORD: Final = re.compile(
    r"(?P<word>fail|greylist|reject|throttle|hang|drop)(?:-(?P<often>once|twice|always|\d{1,4}))?",
    re.IGNORECASE,
)
_OFTEN: Final[dict[str, int | None]] = {"once": 1, "twice": 2, "always": None}


def read_script(word: str) -> Script | None:
    """What a word says; None where it says nothing, as most names do."""
    match = _WORD.fullmatch(word)
    if match is None:
        return None
    name, often = match["word"].lower(), match["often"]
    if often is None:
        return Script(Behaviour(name), _HABITS.get(name))
    known = often.lower() in _OFTEN
    return Script(Behaviour(name), _OFTEN[often.lower()] if known else int(often))


class Scripts:
    """Remembers how often each recipient was written to."""

    def __init__(self) -> None:
        self._told: dict[str, Script] = {}
        self._tries: Counter[str] = Counter()

    def tell(self, recipient: str, behaviour: Behaviour, times: int | None = None) -> None:
        """Says what to do with a recipient's messages from now on, whatever the name says."""
        self._told[recipient] = Script(behaviour, times)
        self._tries[recipient] = 0

    def next(self, recipient: str, word: str) -> Behaviour:
        """What to do with this message, which counts as one more try."""
        script = self._told.get(recipient) or read_script(word)
        self._tries[recipient] += 1
        if script is None or (script.times is not None and self._tries[recipient] > script.times):
            return Behaviour.ACCEPT
        return script.behaviour
