"""Names whom a mail has not reached, though its recipient has it."""

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from tidings.cli.rows import GAP
from tidings.cli.sentences import Sentence
from tidings.operations.notifications import Recipient


def copies(results: Sequence[Recipient]) -> Group | None:
    """One line for each who has not got it, or not at once; None where there is nobody."""
    apart = [
        (one.role, one.address, one.state.replace("_", " "), _why(one))
        for one in results
        if one.state != "sent" or one.kind
    ]
    if not apart:
        return None
    role, address, state = (max(len(one[place]) for one in apart) for place in range(3))
    return Group(
        *(
            Sentence(
                Text(f"{one[0]:<{role}}  {one[1]:<{address}}  {one[2]:<{state}}").append(
                    f"  {one[3]}", "dim"
                ),
                hanging=role + GAP,
            )
            for one in apart
        )
    )


def _why(one: Recipient) -> str:
    return " ".join(part for part in (one.code, one.message) if part)
