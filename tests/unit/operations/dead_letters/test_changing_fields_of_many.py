"""A change of the same fields in many dead letters: stored and read back, shown without people, refused if nothing can be so."""

import json
from typing import Any

import pytest

from tidings.delivery.errors import InvalidRequest
from tidings.operations.dead_letters.field_changes import (
    EditTrial,
    FieldChange,
    sample_of,
    trial_in_words,
)

EMAIL = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d",
    "version": 1,
    "channel": "email",
    "recipient": "ada@example.com",
    "subject": "Hi",
    "body": "Your code is 493021",
}


def body(**fields: Any) -> bytes:
    return json.dumps({**EMAIL, **fields}).encode()


@pytest.mark.parametrize(
    "change",
    [
        FieldChange(("locale=de", "metadata.price=1.50", 'user_id="42"'), ("expires_at",)),
        FieldChange.of({"recipient": "grace@example.com", "entity.id": "7=8\n"}),
        FieldChange.of({"subject": "\N{GRINNING FACE} \x00 \"'"}),
    ],
)
def test_a_change_that_was_stored_is_the_same_when_it_is_read(change: FieldChange) -> None:
    read = FieldChange.read(change.written)
    assert read == change
    assert read(body()) == change(body())
    assert "\x00" not in change.written


def test_a_change_is_shown_without_people_and_content() -> None:
    change = FieldChange.of(
        {"recipient": "grace@example.com", "subject": "Secret", "locale": "de"}, ("body",)
    )
    assert change.shown() == {
        "set": {
            "recipient": "g…@example.com",
            "subject": "… 6 characters",
            "locale": "de",
        },
        "unset": ["body"],
    }
    assert "grace" not in repr(change.shown())


@pytest.mark.parametrize(
    ("change", "channel", "words"),
    [
        (FieldChange(), None, "name a field"),
        (FieldChange(("locale=7",)), None, "locale: 7 must be a string"),
        (FieldChange(("priority=huge",)), None, 'priority: "huge" is not allowed'),
        (FieldChange(("expires_at=tomorrow",)), None, "is not a date and time"),
        (FieldChange(("entity.type=bad type!",)), None, "entity.type"),
        (FieldChange(("no_such_field=1",)), None, "is not a field of"),
        (FieldChange(("recipient=nobody",)), "email", "is not an email address"),
        (FieldChange(unset=("recipient",)), None, "recipient: a notification has to have it"),
        (FieldChange(unset=("subject..x",)), None, "write it like"),
        (FieldChange(("a=1", "a.b=2")), None, "a is no object"),
        (FieldChange((r'subject="\ud800"',)), None, "half a character"),
    ],
)
def test_what_no_notification_can_be_is_refused_before_any_is_chosen(
    change: FieldChange, channel: str | None, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words.replace("!", "")):
        change.check_for(channel)


@pytest.mark.parametrize(
    "change",
    [
        FieldChange(("recipient=+491701234567",)),  # of a text message
        FieldChange(("entity.id=x7",)),  # its type is there
        FieldChange(("subject=Hi",), ("template",)),
        FieldChange(("expires_at=null",)),
        FieldChange(("priority=high", "locale=pt-BR"), ("metadata", "subject")),
    ],
)
def test_what_some_notification_can_be_is_left_to_each_dead_letter(change: FieldChange) -> None:
    change.check_for()


def test_a_field_with_an_equals_sign_is_no_name() -> None:
    with pytest.raises(InvalidRequest, match="no ="):
        FieldChange.of({"a=b": 1})


def test_a_sample_shows_what_changes_or_why_it_stays_as_it_is() -> None:
    change = FieldChange(("recipient=grace@example.com", "body=It is 110099", "metadata.a=true"))
    masked = sample_of(body(metadata={"a": 1}), change, reveal=False)
    assert masked.changes == (
        '-  "recipient": "a…@example.com"',
        '+  "recipient": "g…@example.com"',
        '-  "body": "… 19 characters"',
        '+  "body": "… 12 characters"',
        '-  "metadata": "… 1 field"',
        '+  "metadata": "… 1 field"',
    )
    revealed = sample_of(body(metadata={"a": 1}), change, reveal=True)
    assert revealed.changes is not None
    assert '+  "recipient": "grace@example.com"' in revealed.changes
    assert '+  "metadata": {"a": true}' in revealed.changes
    same = FieldChange(("subject=Hi",))
    assert (sample_of(body(), same, reveal=True).changes, None) == (None, None)
    wrong = sample_of(body(), FieldChange(("recipient=ada at home",)), reveal=False)
    assert wrong.changes is None
    assert "recipient" in str(wrong.problem)
    assert "ada at home" not in str(wrong.problem)
    assert "is no JSON object" in str(sample_of(b"{half", change, reveal=True).problem)


@pytest.mark.parametrize(
    ("trial", "items", "words"),
    [
        (EditTrial(3, 3, 0), 3, "Of all 3 that were looked at, none would be invalid."),
        (
            EditTrial(200, 200, 1),
            5_000,
            "Of the first 200 that were looked at, 1 would be invalid and is left as it is.",
        ),
        (
            EditTrial(200, 150, 2),
            5_000,
            "Of 150 of the first 200 that were looked at, 2 would be invalid and are left as they are."
            " The others could not be tried out: too large, or no longer open.",
        ),
        (
            EditTrial(3, 2, 0),
            3,
            "Of 2 of all 3 that were looked at, none would be invalid."
            " The others could not be tried out: too large, or no longer open.",
        ),
        (
            EditTrial(3, 0, 0),
            3,
            "Of all 3, none could be tried out: too large, or no longer open.",
        ),
        (
            EditTrial(200, 0, 0),
            5_000,
            "Of the first 200, none could be tried out: too large, or no longer open.",
        ),
    ],
)
def test_a_trial_says_how_many_were_looked_at_and_promises_nothing_of_the_others(
    trial: EditTrial, items: int, words: str
) -> None:
    assert trial_in_words(trial, items) == words
