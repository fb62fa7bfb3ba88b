"""The commands that resolve a dead letter."""

from collections.abc import Collection, Iterator
from uuid import UUID

from tidings.delivery.outcome import Reason
from tidings.operations.dead_letters.remedies import Remedy


def next_steps(dead_letter: UUID, remedy: Remedy) -> str:
    """The commands that replay a dead letter, as lines with markup."""
    again, edit = f"tidings replay {dead_letter}", f"tidings dead edit {dead_letter}"
    unpacked = f"tidings dead show {dead_letter} --raw | gunzip | {edit} --file - --replay"
    ways = {
        Remedy.UNPACK: f"Unpack:    [bold]{unpacked}[/]",
        Remedy.REWRITE: f"Edit:      [bold]{edit} --file FILE --replay[/]",
        Remedy.EDIT: f"Edit:      [bold]{edit} --replay[/]",
        Remedy.EXTEND: f"Edit:      [bold]{edit} --set expires_at=… --replay[/]",
        Remedy.OTHER_TEMPLATE: f"Edit:      [bold]{edit} --set template=… --replay[/]\n"
        f"After adding the template: [bold]{again}[/]",
        Remedy.FIX_TEMPLATE: f"Edit:      [bold]{edit} --replay[/]\n"
        f"After fixing the template: [bold]{again}[/]",
        Remedy.REPLAY: f"Replay:    [bold]{again}[/]\nEdit:      [bold]{edit} --replay[/]",
    }
    return ways[remedy]


def group_next_steps(reasons: Collection[Reason]) -> Iterator[str]:
    """The commands that replay groups of dead letters with these reasons."""
    if any(reason not in (Reason.MALFORMED, Reason.EXPIRED) for reason in reasons):
        yield "Replay one group: `tidings replay --fingerprint GROUP --canary 1,10,100`"
    if Reason.MALFORMED in reasons:
        yield (
            "Edit malformed dead letters first, by id or by group: "
            "`tidings dead edit --fingerprint GROUP --set FIELD=VALUE --replay`"
        )
    if Reason.EXPIRED in reasons:
        yield "Replay expired ones with a later expiry: `tidings dead edit --fingerprint GROUP --set expires_at=… --replay`"
