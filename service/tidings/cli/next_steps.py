"""Says with which commands a dead letter is sent on its way."""

from collections.abc import Collection, Iterator
from uuid import UUID

from tidings.delivery.outcome import Reason
from tidings.operations.dead_letters.remedies import Remedy


def next_steps(dead_letter: UUID, remedy: Remedy) -> str:
    """Sentences with markup: the commands by which it is sent again."""
    again, edit = f"tidings replay {dead_letter}", f"tidings dead edit {dead_letter}"
    unpacked = f"tidings dead show {dead_letter} --raw | gunzip | {edit} --file - --replay"
    ways = {
        Remedy.UNPACK: f"Unpacked:  [bold]{unpacked}[/]",
        Remedy.REWRITE: f"Mended:    [bold]{edit} --file FILE --replay[/]",
        Remedy.EDIT: f"Mended:    [bold]{edit} --replay[/]",
        Remedy.EXTEND: f"Mended:    [bold]{edit} --set expires_at=… --replay[/]",
        Remedy.OTHER_TEMPLATE: f"Mended:    [bold]{edit} --set template=… --replay[/]\n"
        f"Once there is such a template: [bold]{again}[/]",
        Remedy.MEND_TEMPLATE: f"Mended:    [bold]{edit} --replay[/]\n"
        f"Once the template is mended: [bold]{again}[/]",
        Remedy.REPLAY: f"Once more: [bold]{again}[/]\nMended:    [bold]{edit} --replay[/]",
    }
    return ways[remedy]


def group_next_steps(reasons: Collection[Reason]) -> Iterator[str]:
    """Sentences with the commands for groups that were dead-lettered for these reasons."""
    if any(reason not in (Reason.MALFORMED, Reason.EXPIRED) for reason in reasons):
        yield "One group again: `tidings replay --fingerprint GROUP --canary 1,10,100`"
    if Reason.MALFORMED in reasons:
        yield (
            "What is malformed is mended first, each by its id or all of a group alike: "
            "`tidings dead edit --fingerprint GROUP --set FIELD=VALUE --replay`"
        )
    if Reason.EXPIRED in reasons:
        yield "What expired, with more time: `tidings dead edit --fingerprint GROUP --set expires_at=… --replay`"
