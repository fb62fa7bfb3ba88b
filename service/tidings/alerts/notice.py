"""The text of alerts: dead letters by cause, what is down or overdue, links and commands to look further; no personal data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tidings.delivery.alert_rules import Watch
from tidings.delivery.circuit import Phase
from tidings.ledger.operators.alerts import AlertGroup, PendingAlert
from tidings.ledger.operators.controls import ReportedCircuit
from tidings.ledger.operators.rule_alerts import RuleReport
from tidings.ledger.operators.rule_counts import FaultArrivals, StandingFault
from tidings.ledger.operators.rule_rows import AlertRule


@dataclass(frozen=True, slots=True)
class Notice:
    """The content of an alert."""

    dead_letters: int
    title: str
    text: str
    event: str = "tidings.dead_letters"
    """Names its kind for programs, as words joined by full stops."""


def notice(pending: PendingAlert, worst: Sequence[AlertGroup], console: str = "") -> Notice:
    """An alert about dead letters since the last one.

    Args:
        pending: How many.
        worst: The largest groups of them.
        console: URL of the service as browsers see it; empty: no links.
    """
    count = _counted(pending.dead_letters)
    since = f" since {pending.since:%Y-%m-%d %H:%M} UTC" if pending.since is not None else ""
    lines = [f"{count}{since}: notifications that were not delivered.", *_faults(worst, console)]
    return Notice(pending.dead_letters, f"Tidings: {count}", "\n".join(lines))


def rule_notice(report: RuleReport, console: str = "") -> Notice:
    """What a rule has to report. Takes `console` like `notice`."""
    rule = report.rule
    of = "" if rule.only is None else f" of {rule.only}"
    if (enough := report.reached) is not None:
        count = _counted(enough.count)
        lines = [
            f"{count}{of} since {enough.since:%Y-%m-%d %H:%M} UTC: notifications that were not delivered.",
            *_faults(report.faults, console),
        ]
        return _of_rule(rule, enough.count, count, lines, "tidings.dead_letters", console)
    new = [each for each in report.standing if each.name in report.new]
    old = [each for each in report.standing if each.name not in report.new]
    words, event, path, commands = _STANDING[rule.terms.watch]
    lines = [
        f"{words.capitalize()}{of}:",
        *(_stands(each) for each in new),
        *(["Still:", *(_stands(each) for each in old)] if old else []),
        *([f"{console}/console/{path}"] if console else []),
        "",
        *commands,
    ]
    title = f"{words} ({', '.join(each.name for each in new[:3])}{', …' if len(new) > 3 else ''})"
    return _of_rule(rule, 0, title, lines, event, console)


def trial_notice(rule: AlertRule, actor: str, console: str) -> Notice:
    """An alert that a person asked for, to see whether it arrives. Takes `console` like `notice`."""
    lines = [f"This is a test by {actor}. Nothing is wrong."]
    return _of_rule(rule, 0, "test", lines, "tidings.test", console)


def _of_rule(
    rule: AlertRule, dead_letters: int, title: str, lines: Sequence[str], event: str, console: str
) -> Notice:
    link = f": {console}/console/alerts/{rule.id}" if console else ""
    text = "\n".join([*lines, "", f"Rule {rule.name}{link}"])
    return Notice(dead_letters, f"Tidings: {title}", text, event)


def outage_notice(circuits: Sequence[ReportedCircuit], console: str = "") -> Notice:
    """An alert about providers that are down, or that they have recovered meanwhile. Takes `console` like `notice`."""
    event = "tidings.provider_down"
    down = {
        (circuit.channel, circuit.provider): circuit
        for circuit in circuits
        if circuit.phase is not Phase.DISABLED
    }
    if not down:
        title = "Tidings: a provider was down"
        text = f"{title} and has recovered.\n`tidings channels list` shows all."
        return Notice(0, title, text, event)
    channels = ", ".join(sorted({channel for channel, _ in down}))
    lines = [
        "Providers are down. Notifications wait in their lanes, and no attempts are spent:",
        *(f"  {_outage(circuit)}" for circuit in down.values()),
        *([f"{console}/console/channels"] if console else []),
        "",
        *_OF_PROVIDERS,
    ]
    return Notice(0, f"Tidings: provider down ({channels})", "\n".join(lines), event)


_OF_PROVIDERS: Final = (
    "Workers probe them, one notification at a time. `tidings channels list` shows their state,",
    "`tidings channels enable CHANNEL PROVIDER` resumes sends at full concurrency, without a probe: only if you",
    "know that the provider is back.",
)
_STANDING: Final = {
    Watch.PROVIDERS: ("provider down", "tidings.provider_down", "channels", _OF_PROVIDERS),
    Watch.SCHEDULES: (
        "schedule overdue",
        "tidings.schedule_overdue",
        "schedules",
        (
            "`tidings dispatching show` says whether schedulers run and publish, `tidings schedules show NAME` shows one.",
        ),
    ),
}
"""Of what stands so: the words, the event, the page of the console, and the commands."""


def _counted(dead_letters: int) -> str:
    return f"{dead_letters:,} dead letter{'' if dead_letters == 1 else 's'}"


def _faults(worst: Sequence[AlertGroup | FaultArrivals], console: str) -> Sequence[str]:
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


def _stands(each: StandingFault) -> str:
    detail = f": {each.detail}" if each.detail else ""
    return f"  {each.name} since {each.since:%Y-%m-%d %H:%M} UTC{detail}"


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
