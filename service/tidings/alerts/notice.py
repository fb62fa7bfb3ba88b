"""The text of alerts: dead letters by cause, providers that are down, links and commands to look further; no personal data."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidings.delivery.circuit import Phase
from tidings.ledger.operators.alerts import AlertGroup, PendingAlert
from tidings.ledger.operators.controls import ReportedCircuit
from tidings.ledger.operators.rule_counts import FaultArrivals


class Severity(StrEnum):
    """What an alert says to services that tell them apart: whether to wake somebody."""

    FAULT = "fault"
    TEST = "test"
    CLEAR = "clear"
    """All that it alerted about is over."""


@dataclass(frozen=True, slots=True)
class Notice:
    """The content of an alert."""

    dead_letters: int
    title: str
    text: str
    event: str = "tidings.dead_letters"
    """Names its kind for programs, as words joined by full stops."""
    severity: Severity = Severity.FAULT
    incident: str = ""
    """Names what lasts, so that its end is understood as the end of its beginning; empty: an event."""


def notice(pending: PendingAlert, worst: Sequence[AlertGroup], console: str = "") -> Notice:
    """An alert about dead letters since the last one.

    Args:
        pending: How many.
        worst: The largest groups of them.
        console: URL of the service as browsers see it; empty: no links.
    """
    count = counted(pending.dead_letters)
    since = f" since {pending.since:%Y-%m-%d %H:%M} UTC" if pending.since is not None else ""
    lines = [f"{count}{since}: notifications that were not delivered.", *faults(worst, console)]
    return Notice(pending.dead_letters, f"Tidings: {count}", "\n".join(lines))


def outage_notice(circuits: Sequence[ReportedCircuit], console: str = "") -> Notice:
    """An alert about providers that are down, or that none is any longer. Takes `console` like `notice`."""
    event = "tidings.provider_down"
    down = {
        (circuit.channel, circuit.provider): circuit
        for circuit in circuits
        if circuit.phase is not Phase.DISABLED
    }
    if not down:
        title = "Tidings: a provider was down"
        text = "No worker reports one now: it has recovered, or its worker has ended.\n`tidings channels list` shows all."
        return Notice(0, title, text, event)
    channels = ", ".join(sorted({channel for channel, _ in down}))
    lines = [
        "Providers are down. Notifications wait in their lanes, and no attempts are spent:",
        *(f"  {_outage(circuit)}" for circuit in down.values()),
        *([f"{console}/console/channels"] if console else []),
        "",
        *PROVIDER_COMMANDS,
    ]
    return Notice(0, f"Tidings: provider down ({channels})", "\n".join(lines), event)


PROVIDER_COMMANDS: Final = (
    "Workers probe them, one notification at a time. `tidings channels list` shows their state,",
    "`tidings channels enable CHANNEL PROVIDER` resumes sends at full concurrency, without a probe: only if you",
    "know that the provider is back.",
)


def counted(dead_letters: int) -> str:
    """A number of dead letters, in words."""
    return f"{dead_letters:,} dead letter{'' if dead_letters == 1 else 's'}"


def faults(worst: Sequence[AlertGroup | FaultArrivals], console: str) -> Sequence[str]:
    """Lines about the largest groups, and the commands to look further. Takes `console` like `notice`."""
    links = {
        group.fingerprint: f"           {console}/console/failures/{group.fingerprint}"
        for group in worst
        if console
    }
    return [
        *(["", "The most frequent faults:"] if worst else []),
        *(
            line
            for group in worst
            for line in (_line(group), links.get(group.fingerprint))
            if line is not None
        ),
        "",
        "`tidings dead groups` shows all of them, `tidings dead show ID` one,",
        "`tidings replay --fingerprint …` sends a group again once its cause is fixed.",
    ]


def _outage(circuit: ReportedCircuit) -> str:
    return f"{circuit.channel} {circuit.provider} since {circuit.since:%Y-%m-%d %H:%M} UTC: {circuit.reason}"


def _line(trouble: AlertGroup | FaultArrivals) -> str:
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
