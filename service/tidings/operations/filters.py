"""Parses values of filters."""

import re


def entity(text: str) -> tuple[str, str | None]:
    """Type and id of an entity, e.g. `order:10042`; no id means any.

    Raises:
        ValueError: A part of it is empty: a script's variable is not set.
    """
    type_, colon, id_ = text.partition(":")
    if not type_ or (colon and not id_):
        raise ValueError(f"{text!r}: write it like order, or order:10042")
    return type_, id_ or None


def tenant(text: str) -> str:
    """A tenant's name.

    Raises:
        ValueError: It can't be one: a script's variable is not set.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", text):
        raise ValueError(f"{text!r}: a tenant is lower-case letters, digits, - and _, at most 64")
    return text
