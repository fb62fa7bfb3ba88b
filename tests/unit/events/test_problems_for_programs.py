"""A problem of the contract tells programs which field and which kind of fault, beside its sentence."""

import json
from typing import Any

import pytest

from tidings_events import InvalidNotification, parse
from tidings_events.problems import ContractProblem, with_location

MAIL: dict[str, Any] = {
    "id": "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d",
    "channel": "email",
    "recipient": "jane@example.com",
    "subject": "Hello",
    "body": "Hello",
}


def problems(**changes: object) -> dict[str, str]:
    """Pointer and code of each problem."""
    with pytest.raises(InvalidNotification) as invalid:
        parse(json.dumps({**MAIL, **changes}).encode())
    found = [with_location(problem) for problem in invalid.value.problems]
    return {problem.pointer: problem.code for problem in found}


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"recipient": 5}, "/recipient", "type"),
        ({"recipient": "nobody"}, "/recipient", "invalid"),
        ({"channel": "pigeon"}, "/channel", "not_allowed"),
        ({"priority": "extreme"}, "/priority", "not_allowed"),
        ({"subjekt": "x"}, "/subjekt", "unknown_field"),
        ({"a/b~c": "x"}, "/a~1b~0c", "unknown_field"),
        ({"category": "x" * 200}, "/category", "too_long"),
        ({"id": "no"}, "/id", "format"),
        ({"max_retries": 101}, "/max_retries", "out_of_range"),
        ({"template": "welcome"}, "/template", "rule"),
        ({"attachments": [{"content": "aGk="}]}, "/attachments/0/filename", "missing"),
    ],
)
def test_each_fault_has_its_field_and_kind(
    changes: dict[str, object], pointer: str, code: str
) -> None:
    assert problems(**changes)[pointer] == code


def test_the_problem_of_the_whole_points_nowhere() -> None:
    with pytest.raises(InvalidNotification) as invalid:
        parse(b"{")
    [problem] = invalid.value.problems
    assert isinstance(problem, ContractProblem)
    assert (problem.pointer, problem.code) == ("", "not_json")


def test_a_missing_id_is_found_among_other_problems() -> None:
    with pytest.raises(InvalidNotification) as invalid:
        parse(json.dumps({**MAIL, "id": None, "recipient": 5}).encode())
    pointers = {with_location(problem).pointer for problem in invalid.value.problems}
    assert {"/id", "/recipient"} <= pointers


@pytest.mark.parametrize(
    ("sentence", "pointer"),
    [
        ("attachments[2].filename: is missing", "/attachments/2/filename"),
        ("notification: is empty", ""),
        ("it is nested too deeply", ""),
    ],
)
def test_a_bare_sentence_points_to_the_field_that_it_names(sentence: str, pointer: str) -> None:
    assert with_location(sentence).pointer == pointer
