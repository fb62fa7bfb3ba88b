"""What operators are told: how many letters, of which faults, where to look; no personal data."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidings.ledger.escalations import Trouble, Untold


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to operators."""

    letters: int
    title: str
    text: str


def notice(untold: Untold, worst: Sequence[Trouble]) -> Notice:
    """Put into words what operators don't know yet."""
    count = f"{untold.letters:,} dead letter{'' if untold.letters == 1 else 's'}"
    since = f" since {untold.since:%Y-%m-%d %H:%M} UTC" if untold.since is not None else ""
    lines = [
        f"{count}{since}: notifications that were not delivered.",
        *(["", "The most frequent faults:"] if worst else []),
        *(_line(trouble) for trouble in worst),
        "",
        "`tidings dead groups` shows all of them, `tidings dead show ID` one,",
        "`tidings replay --fingerprint …` sends a group again once its cause is mended.",
    ]
    return Notice(untold.letters, f"Tidings: {count}", "\n".join(lines))


def _line(trouble: Trouble) -> str:
    what = " ".join(
        part for part in (trouble.kind, trouble.code) if part != trouble.reason and part
    )
    words = [
        trouble.channel or "(channel unknown)",
        trouble.reason,
        what,
        f"[{trouble.fingerprint}]",
    ]
    return f"  {trouble.letters:>6,} × {' '.join(word for word in words if word)}"
