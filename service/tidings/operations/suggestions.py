"""Error texts for unknown words, with suggestions."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches


def unknown(value: str, known: Collection[str]) -> str:
    """Why a word is refused, with the one it was perhaps meant to be, and all there are."""
    return f"{value!r} is unknown{did_you_mean(value, known)}; known are {', '.join(known)}"


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """` (did you mean 'email'?)`, if one is near; otherwise nothing."""
    near = get_close_matches(value.lower(), list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
