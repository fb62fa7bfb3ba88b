"""The text of alerts: dead letters by cause, providers that are down, commands to look further; no personal data."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidings.delivery.circuit import Phase
from tidings.ledger.operators.alerts import AlertGroup, PendingAlert
from tidings.ledger.operators.controls import ReportedCircuit


@dataclass(frozen=True, slots=True)
class Notice:
    """The content of an alert."""

    dead_letters: int
    title: str
    text: str


def notice(pending: PendingAlert, worst: Sequence[AlertGroup]) -> Notice:
    """An alert about dead letters since the last one."""
    count = f"{pending.dead_letters:,} dead letter{'' if pending.dead_letters == 1 else 's'}"
    since = f" since {pending.since:%Y-%m-%d %H:%M} UTC" if pending.since is not None else ""
    lines = [
        f"{count}{since}: notifications that were not delivered.",
        *(["", "The most frequent faults:"] if worst else []),
        *(_line(trouble) for trouble in worst),
        "",
        "`tidings dead groups` shows all of them, `tidings dead show ID` one,",
        "`tidings replay --fingerprint …` sends a group again once its cause is fixed.",
    ]
    return Notice(pending.dead_letters, f"Tidings: {count}", "\n".join(lines))


def outage_notice(circuits: Sequence[ReportedCircuit]) -> Notice:
    """An alert about providers that are down, or that they have recovered meanwhile."""
    down = {
        (circuit.channel, circuit.provider): circuit
        for circuit in circuits
        if circuit.phase is not Phase.DISABLED
    }
    if not down:
        title = "Tidings: a provider was down"
        return Notice(0, title, f"{title} and has recovered.\n`tidings channels list` shows all.")
    channels = ", ".join(sorted({channel for channel, _ in down}))
    lines = [
        "Providers are down. Notifications wait in their lanes, and no attempts are spent:",
        *(f"  {_outage(circuit)}" for circuit in down.values()),
        "",
        "Workers probe them, one notification at a time. `tidings channels list` shows their state,",
        "`tidings channels enable CHANNEL PROVIDER` resumes sends at full concurrency, without a probe: only if you",
        "know that the provider is back.",
    ]
    return Notice(0, f"Tidings: provider down ({channels})", "\n".join(lines))


def _outage(circuit: ReportedCircuit) -> str:
    return f"{circuit.channel} {circuit.provider} since {circuit.since:%Y-%m-%d %H:%M} UTC: {circuit.reason}"


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
