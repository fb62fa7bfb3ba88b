"""The conservation checker itself: sound evidence passes, and each invariant broken on purpose is seen."""

from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from tests.chaos.checker import check
from tests.chaos.evidence import Evidence, Fault, Recovery
from tests.chaos.verdict import Expectations

SENT, FAILED, TWICE, OFF, TEXT = (str(UUID(int=number)) for number in range(5))
DUE = 1_000_000.0


def row(state: str, **fields: Any) -> dict[str, Any]:
    """A notification as the ledger has it, after one attempt."""
    usual = {
        "epoch": 0,
        "attempt": 1,
        "attempts": 1,
        "marked": 0,
        "lapses": 0,
        "dead_letters": 0,
    }
    sent = int(state == "sent")
    return {"state": state, "sent": sent, "asked": sent, "duplicate_of": None, **usual, **fields}


SOUND = Evidence(
    journal=[
        (SENT, "scheduled", str(DUE)),
        (FAILED, "reject", ""),
        (TWICE, "plain", ""),
        (OFF, "twin", "key"),
        (TEXT, "sms-lost", ""),
    ],
    taken=Counter({f"{SENT}.0": 1, f"{TWICE}.0": 2, f"{TEXT}.0": 1}),
    first_taken={f"{SENT}.0": DUE + 0.2, f"{TWICE}.0": 5.0, f"{TEXT}.0": 5.0},
    ledger={
        SENT: row("sent"),
        FAILED: row("failed", dead_letters=1),
        TWICE: row("sent", lapses=1, marked=1),
        OFF: row("suppressed", attempts=0),
        TEXT: row("unknown", asked=1, dead_letters=1),
    },
    edges=[(None, "queued", 5, SENT), ("queued", "sending", 4, SENT), ("sending", "sent", 2, SENT)],
    orphans={},
    queues={"tidings.email.normal": 0, "tidings.dead": 0},
    faults=[Fault("worker killed", 4.0, 1)],
    recoveries=[Recovery("worker killed", 3.0, 20.0)],
    memory={"worker-0": (320, 320), "archive": (80, 320)},
)


def changed(id: str, **fields: Any) -> Evidence:
    """The sound evidence with a row that says something else."""
    return replace(SOUND, ledger={**SOUND.ledger, id: {**SOUND.ledger[id], **fields}})


def test_sound_evidence_passes_and_is_counted() -> None:
    verdict = check(SOUND, Expectations())
    assert verdict.passed, verdict.violations
    assert verdict.confirmed == 5
    assert verdict.ends == {"failed": 1, "sent": 2, "suppressed": 1, "unknown": 1}
    assert (verdict.sends, verdict.duplicates, verdict.in_flight, verdict.lost) == (4, 1, 1, 0)


@pytest.mark.parametrize(
    ("invariant", "says", "evidence"),
    [
        ("F", "nowhere", replace(SOUND, ledger={SENT: SOUND.ledger[SENT]})),
        ("F", "twice in the journal", replace(SOUND, journal=[*SOUND.journal, SOUND.journal[1]])),
        ("C", "terminal", changed(SENT, state="sending")),
        ("C", "as its kind may not", changed(FAILED, state="sent", sent=1)),
        ("C", "left in a queue", replace(SOUND, queues={"tidings.email.retry.1s": 1})),
        ("C", "dead letters of no notification", replace(SOUND, orphans={"malformed": 1})),
        ("C", "a move", replace(SOUND, edges=[*SOUND.edges, ("failed", "sent", 1, FAILED)])),
        ("C", "exactly one attempt", changed(SENT, sent=2)),
        ("C", "exactly one attempt", changed(SENT, sent=0)),
        ("C", "without a dead letter", changed(FAILED, dead_letters=0)),
        ("C", "without a dead letter", changed(FAILED, dead_letters=2)),
        (
            "C",
            "one idempotency key",
            replace(
                changed(OFF, state="sent", sent=1, asked=1, attempts=1),
                journal=[*SOUND.journal[:2], (TWICE, "twin", "key"), *SOUND.journal[3:]],
                taken=SOUND.taken + Counter({f"{OFF}.0": 1}),
            ),
        ),
        ("C", "never received", replace(SOUND, taken=SOUND.taken - Counter({f"{SENT}.0": 1}))),
        ("C", "cancelled or suppressed", replace(SOUND, taken=SOUND.taken + Counter([f"{OFF}.0"]))),
        ("C", "no attempt says", replace(SOUND, taken=SOUND.taken + Counter([f"{FAILED}.0"]))),
        (
            "C",
            "before it was due",
            replace(SOUND, first_taken={**SOUND.first_taken, f"{SENT}.0": DUE - 1}),
        ),
        ("D", "where 0 may have", replace(SOUND, faults=[])),
        ("D", "oftener than the ledger", changed(TWICE, lapses=0)),
        ("D", "confirmed to nobody", replace(SOUND, journal=SOUND.journal[1:])),
        ("D", "text message", replace(SOUND, taken=SOUND.taken + Counter([f"{TEXT}.0"]))),
        ("P", "in time", replace(SOUND, recoveries=[Recovery("worker killed", 21.0, 20.0)])),
        ("M", "more memory", replace(SOUND, memory={"worker-0": (321, 320)})),
    ],
)
def test_each_invariant_broken_on_purpose_is_reported(
    invariant: str, says: str, evidence: Evidence
) -> None:
    violations = check(evidence, Expectations()).violations
    assert any(
        violation.invariant == invariant and says in violation.what for violation in violations
    ), violations


def test_what_a_scenario_promises_beyond_the_usual_is_held_against_it() -> None:
    verdict = check(SOUND, Expectations(duplicates=0, dead_letters={"malformed": 3}))
    assert [violation.invariant for violation in verdict.violations] == ["C", "D"]
    assert verdict.violations[0].examples == ("malformed: -3",)
