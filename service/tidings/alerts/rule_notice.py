"""The text of the alerts of rules: what came, what began, what lasts and what is over."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tidings.alerts.notice import PROVIDER_COMMANDS, Notice, Severity, counted, faults
from tidings.delivery.alert_rules import Watch
from tidings.ledger.operators.rule_alerts import RuleReport
from tidings.ledger.operators.rule_counts import StandingFault
from tidings.ledger.operators.rule_rows import AlertRule


@dataclass(frozen=True, slots=True)
class StandingWords:
    """What is said of what a rule watches, if it is no dead letter."""

    noun: str
    state: str
    event: str
    page: str
    """Of the console."""
    commands: tuple[str, ...]


WORDS: Final = {
    Watch.PROVIDERS: StandingWords(
        "provider", "down", "tidings.provider_down", "channels", PROVIDER_COMMANDS
    ),
    Watch.SCHEDULES: StandingWords(
        "schedule",
        "overdue",
        "tidings.schedule_overdue",
        "schedules",
        (
            "`tidings dispatching show` says whether schedulers run and publish, `tidings schedules show NAME` shows one.",
        ),
    ),
    Watch.QUEUES: StandingWords(
        "queue",
        "waiting too long",
        "tidings.queue_waiting",
        "channels",
        (
            "`tidings stats` shows all queues and their consumers, `tidings channels list` why a channel delivers nothing,",
            "`tidings ps` which workers and archivers run.",
        ),
    ),
}


def rule_notice(report: RuleReport, console: str = "") -> Notice:
    """What a rule has to report. Takes `console` like `notice`."""
    rule = report.rule
    if (enough := report.reached) is None:
        return _of_standing(report, console)
    count = counted(enough.count)
    lines = [
        f"{count}{_of_tenant(rule)} since {enough.since:%Y-%m-%d %H:%M} UTC: notifications that were not delivered.",
        *faults(report.faults, console),
    ]
    return _of_rule(rule, enough.count, count, lines, "tidings.dead_letters", console)


def trial_notice(rule: AlertRule, actor: str, console: str) -> Notice:
    """An alert that a person asked for, to see whether it arrives. Takes `console` like `notice`."""
    lines = [f"This is a test by {actor}. Nothing is wrong."]
    trial = _of_rule(rule, 0, "test", lines, "tidings.test", console)
    return replace(trial, severity=Severity.TEST)


def _of_standing(report: RuleReport, console: str) -> Notice:
    rule, words = report.rule, WORDS[report.rule.terms.watch]
    new = [each for each in report.standing if each.name in report.new]
    old = [each for each in report.standing if each.name not in report.new]
    over = sorted(report.over) if rule.terms.all_clear else []
    lines = [
        *_section(f"{words.state.capitalize()}{_of_tenant(rule)}:", map(_stands, new)),
        *_section(f"No longer {words.state}:", (f"  {name}" for name in over)),
        *_section(f"Still {words.state}:", map(_stands, old)),
        *([f"{console}/console/{words.page}"] if console else []),
        *(["", *words.commands] if report.standing else []),
    ]
    if new:
        title = f"{words.noun} {words.state} ({_names(each.name for each in new)})"
    elif over:
        title = f"no longer {words.state} ({_names(over)})"
    else:
        title = f"still {words.state} ({_names(each.name for each in old)})"
    event = words.event if report.standing else f"{words.event}.over"
    found = _of_rule(rule, 0, title, lines, event, console)
    severity = Severity.FAULT if report.standing else Severity.CLEAR
    return replace(found, severity=severity, incident=str(rule.id))


def _of_rule(
    rule: AlertRule, dead_letters: int, title: str, lines: Sequence[str], event: str, console: str
) -> Notice:
    link = f": {console}/console/alerts/{rule.id}" if console else ""
    text = "\n".join([*lines, "", f"Rule {rule.name}{link}"])
    return Notice(dead_letters, f"Tidings: {title}", text, event)


def _of_tenant(rule: AlertRule) -> str:
    return "" if rule.only is None else f" of {rule.only}"


def _section(heading: str, lines: Iterable[str]) -> Sequence[str]:
    found = list(lines)
    return [heading, *found] if found else []


def _stands(each: StandingFault) -> str:
    detail = f": {each.detail}" if each.detail else ""
    return f"  {each.name} since {each.since:%Y-%m-%d %H:%M} UTC{detail}"


def _names(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join([*found[:3], *(["…"] if len(found) > 3 else [])])
