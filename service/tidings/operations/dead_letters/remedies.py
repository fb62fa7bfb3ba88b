"""The action that lets a dead letter be delivered. Pure."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Final

from tidings.delivery.outcome import Reason
from tidings.ledger.dead_letters.rows import StoredDeadLetter
from tidings.operations.dead_letters.body import MalformedEdit, checked

BROKER_EXPIRED: Final = "broker_expired"
"""The kind of what its message's own AMQP `expiration` ended."""
CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
GZIP: Final = b"\x1f\x8b"
"""How it begins (RFC 1952, 2.3.1)."""
NO_SUCH_TEMPLATE: Final = "TemplateNotFound"
OF_TEMPLATES: Final = frozenset(
    {"MissingVariable", "TemplateFailed", "TemplateSyntax", "TemplateTooExpensive"}
)
"""Codes of what else goes wrong with a template."""


class Remedy(StrEnum):
    """The action that lets a dead letter be delivered."""

    REPLAY = "replay"
    """As it is; or edited."""
    EDIT = "edit"
    """Its body can't be read as a notification."""
    REWRITE = "rewrite"
    """Its body is no text: a whole one takes its place."""
    UNPACK = "unpack"
    """Its body is compressed."""
    EXTEND = "extend"
    """It would expire again: it needs another `expires_at`."""
    OTHER_TEMPLATE = "other_template"
    """It names a template that there is not."""
    FIX_TEMPLATE = "fix_template"
    """Its template and its data don't match."""


def remedy_of(body: bytes, code: str, *, expired: bool) -> Remedy:
    """The action that lets a dead letter be delivered.

    Args:
        body: Its own, as it would be sent.
        code: Of what went wrong: the provider's, or the name of what a template met.
        expired: Whether it would expire again.
    """
    try:
        checked(body)
    except MalformedEdit:
        if body.startswith(GZIP):
            return Remedy.UNPACK
        return Remedy.REWRITE if not_text(body) else Remedy.EDIT
    if expired:
        return Remedy.EXTEND
    if code == NO_SUCH_TEMPLATE:
        return Remedy.OTHER_TEMPLATE
    return Remedy.FIX_TEMPLATE if code in OF_TEMPLATES else Remedy.REPLAY


def not_text(body: bytes) -> bool:
    """Whether it has characters that neither JSON nor any other text has, as what is packed does."""
    return CONTROLS.search(body) is not None


def would_expire(dead_letter: StoredDeadLetter, body: bytes, now: datetime) -> bool:
    """Whether a dead letter would come too late again: by its own `expires_at`, or else as it did before it was edited.

    What its message's own AMQP `expiration` ended has none any more once Tidings publishes it.
    """
    try:
        expires_at = checked(body).expires_at
    except MalformedEdit:
        return False
    if expires_at is not None:
        return expires_at <= now
    ended_so = dead_letter.reason is Reason.EXPIRED and dead_letter.failure.kind != BROKER_EXPIRED
    return ended_so and dead_letter.supersedes is None
