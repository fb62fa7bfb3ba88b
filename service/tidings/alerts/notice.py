"""What operators are told: which dead letters of which faults, who is down, where to look; no personal data."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidings.delivery.circuit import Phase
from tidings.ledger.operators.alerts import AlertGroup, PendingAlert
from tidings.ledger.operators.controls import ReportedCircuit


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to operators."""

    dead_letters: int
    title: str
    text: str


def notice(pending: PendingAlert, worst: Sequence[AlertGroup]) -> Notice:
    """Put into words what operators don't know yet."""
    count = f"{pending.dead_letters:,} dead letter{'' if pending.dead_letters == 1 else 's'}"
    since = f" since {pending.since:%Y-%m-%d %H:%M} UTC" if pending.since is not None else ""
    lines = [
        f"{count}{since}: notifications that were not delivered.",
        *(["", "The most frequent faults:"] if worst else []),
        *(_line(trouble) for trouble in worst),
        "",
        "`tidings dead groups` shows all of them, `tidings dead show ID` one,",
        "`tidings replay --fingerprint …` sends a group again once its cause is mended.",
    ]
    return Notice(pending.dead_letters, f"Tidings: {count}", "\n".join(lines))


def outage_notice(circuits: Sequence[ReportedCircuit]) -> Notice:
    """Put into words which providers are down; nobody where they have recovered meanwhile."""
    down = {(one.channel, one.provider): one for one in circuits if one.phase is not Phase.DISABLED}
    if not down:
        title = "Tidings: a provider was down"
        return Notice(0, title, f"{title}, and answers again.\n`tidings channels list` shows all.")
    channels = ", ".join(sorted({channel for channel, _ in down}))
    lines = [
        "Providers are down. Notifications wait in their lanes, and no attempts are spent:",
        *(f"  {_outage(one)}" for one in down.values()),
        "",
        "They are tried again by themselves, one notification at a time. `tidings channels list`",
        "shows how that goes, `tidings channels enable CHANNEL PROVIDER` tries one at once.",
    ]
    return Notice(0, f"Tidings: provider down ({channels})", "\n".join(lines))


def _outage(one: ReportedCircuit) -> str:
    return f"{one.channel} {one.provider} since {one.since:%Y-%m-%d %H:%M} UTC: {one.reason}"


def _line(trouble: AlertGroup) -> str:
    what = " ".join(
        part for part in (trouble.kind, trouble.code) if part != trouble.reason and part
    )
    words = [
        trouble.channel or "(channel unknown)",
        trouble.reason,
        what,
        f"[{trouble.fingerprint}]",
    ]
    return f"  {trouble.dead_letters:>6,} × {' '.join(word for word in words if word)}"
