"""Says what a person can do with a dead letter: only what can work for this very one."""

import re
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final
from uuid import UUID

from tidings.delivery.outcome import Reason
from tidings.ledger.dead_letters.rows import StoredLetter
from tidings.operations.dead_letters.body import Unreadable, checked

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


def ways_on(letter: UUID, body: bytes, code: str, *, expired: bool) -> str:
    """Sentences with markup: the commands by which it is sent again.

    Args:
        body: Its own, as it would be sent.
        code: Of what went wrong: the provider's, or the name of what a template met.
        expired: Whether it would expire again.
    """
    again, edit = f"tidings replay {letter}", f"tidings dead edit {letter}"
    try:
        checked(body)
    except Unreadable:
        if body.startswith(GZIP):
            unpacked = f"tidings dead show {letter} --raw | gunzip | {edit} --file - --replay"
            return f"Unpacked:  [bold]{unpacked}[/]"
        return f"Mended:    [bold]{edit} {'--file FILE ' if not_text(body) else ''}--replay[/]"
    if expired:
        return f"Mended:    [bold]{edit} --set expires_at=… --replay[/]"
    if code == NO_SUCH_TEMPLATE:
        return (
            f"Mended:    [bold]{edit} --set template=… --replay[/]\n"
            f"Once there is such a template: [bold]{again}[/]"
        )
    if code in OF_TEMPLATES:
        return f"Mended:    [bold]{edit} --replay[/]\nOnce the template is mended: [bold]{again}[/]"
    return f"Once more: [bold]{again}[/]\nMended:    [bold]{edit} --replay[/]"


def not_text(body: bytes) -> bool:
    """Whether it has characters that neither JSON nor any other text has, as what is packed does."""
    return CONTROLS.search(body) is not None


def ways_of_groups(reasons: Collection[Reason]) -> Iterator[str]:
    """Sentences with the commands for groups that were buried for these reasons."""
    if any(reason not in (Reason.MALFORMED, Reason.EXPIRED) for reason in reasons):
        yield "One group again: `tidings replay --fingerprint GROUP --canary 1,10,100`"
    if Reason.MALFORMED in reasons:
        yield (
            "What is malformed is mended first, each by its id or all of a group alike: "
            "`tidings dead edit --fingerprint GROUP --set FIELD=VALUE --replay`"
        )
    if Reason.EXPIRED in reasons:
        yield "What expired, with more time: `tidings dead edit --fingerprint GROUP --set expires_at=… --replay`"


def would_expire(letter: StoredLetter, body: bytes, now: datetime) -> bool:
    """Whether a letter would come too late again: by its own `expires_at`, or else as it did before it was edited.

    What its message's own AMQP `expiration` ended has none any more once Tidings publishes it.
    """
    try:
        said = checked(body).expires_at
    except Unreadable:
        return False
    if said is not None:
        return said <= now
    ended_so = letter.reason is Reason.EXPIRED and letter.failure.kind != BROKER_EXPIRED
    return ended_so and letter.supersedes is None
