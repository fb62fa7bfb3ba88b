"""Lists the copies of an email that were not delivered at once."""

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from tidings.cli.rows import GAP
from tidings.cli.sentences import Sentence
from tidings.operations.notifications import Recipient


def copies(results: Sequence[Recipient]) -> Group | None:
    """A line for each copy that was not sent, or not at once; None if there is none."""
    apart = [
        (recipient.role, recipient.address, recipient.state.replace("_", " "), _why(recipient))
        for recipient in results
        if recipient.state != "sent" or recipient.kind
    ]
    if not apart:
        return None
    role, address, state = (max(len(recipient[place]) for recipient in apart) for place in range(3))
    return Group(
        *(
            Sentence(
                Text(
                    f"{recipient[0]:<{role}}  {recipient[1]:<{address}}  {recipient[2]:<{state}}"
                ).append(f"  {recipient[3]}", "dim"),
                hanging=role + GAP,
            )
            for recipient in apart
        )
    )


def _why(recipient: Recipient) -> str:
    return " ".join(part for part in (recipient.code, recipient.message) if part)
