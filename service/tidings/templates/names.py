"""Valid names and locales of templates, and the fallback order of locales."""

import re
from functools import lru_cache
from typing import Final

DEFAULT: Final = "default"
"""The folder used if there is no matching translation."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9][A-Za-z0-9_-]*)*")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")
_LONGEST_NAME: Final = 128
_LONGEST_LOCALE: Final = 100

NAME_RULE: Final = (
    "a template's name is letters, digits, - and _, with . or / between words, at most "
    f"{_LONGEST_NAME} characters, e.g. welcome or orders/shipped"
)
LOCALE_RULE: Final = "a locale is a language tag, e.g. pt, pt-BR or zh-Hant-TW"


def is_name(name: str) -> bool:
    """Whether this is a valid template name. A valid name can't lead out of the root."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def is_locale(locale: str) -> bool:
    """Whether this is a language tag, or `default`."""
    if locale == DEFAULT:
        return True
    return len(locale) <= _LONGEST_LOCALE and _LOCALE.fullmatch(locale) is not None


def canonical(locale: str) -> str:
    """The usual spelling of a language tag: `pt_br` → `pt-BR`, `ZH-hant-tw` → `zh-Hant-TW`.

    What follows a single letter is an extension, and in lower case (RFC 5646 §2.1.1).
    """
    if locale == DEFAULT:
        return DEFAULT
    language, *rest = locale.replace("_", "-").split("-")
    extensions = next((n for n, tag in enumerate(rest) if len(tag) == 1), len(rest))
    plain, extended = rest[:extensions], rest[extensions:]
    return "-".join([language.lower(), *map(_subtag, plain), *map(str.lower, extended)])


def _subtag(tag: str) -> str:
    if not tag.isalpha():
        return tag.lower()
    return {2: tag.upper(), 4: tag.title()}.get(len(tag), tag.lower())


@lru_cache(maxsize=1024)
def fallback(locale: str | None) -> tuple[str, ...]:
    """The locales to try, in order: `pt_br` → `("pt-BR", "pt", "default")`.

    Subtags are removed from the end one at a time (lookup, RFC 4647, section 3.4).

    Raises:
        ValueError: It is not a language tag.
    """
    if locale is None or locale == DEFAULT:
        return (DEFAULT,)
    if not is_locale(locale):
        raise ValueError(LOCALE_RULE)
    subtags = canonical(locale).split("-")
    shorter = [subtags[:length] for length in range(len(subtags), 0, -1)]
    return (*("-".join(tags) for tags in shorter if len(tags[-1]) > 1), DEFAULT)


def shown(text: str) -> str:
    """Text from a producer for an error message: quoted, short, on one line."""
    clipped = text if len(text) <= 60 else f"{text[:57]}…"
    return ascii(clipped)
