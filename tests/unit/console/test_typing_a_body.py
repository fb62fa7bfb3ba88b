"""A dead letter's body while it is typed in a form: what a browser would change or a page can't show is told, and changes nothing."""

import json
from typing import Any

import pytest

from tidings.console.drafts import EditedBody, draft_of, typed
from tidings.console.forms import Form

EMAIL = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d",
    "version": 1,
    "channel": "email",
    "recipient": "ada@example.com",
    "subject": "Hi",
    "body": "x",
}


def body(**fields: Any) -> bytes:
    return json.dumps({**EMAIL, **fields}).encode()


def sent(draft: EditedBody, **changes: str) -> Form:
    """What a browser sends of a draft's form: it makes U+FFFD of a NUL; `__` stands for a full stop."""
    fields = {f"field.{it.name}": it.value.replace("\0", "\ufffd") for it in draft.fields}
    seen = {"seen_raw": draft.seen_raw, "seen_fields": draft.seen_fields()}
    typed_in = {name.replace("__", "."): text for name, text in changes.items()}
    return Form(list({"raw": draft.raw, **fields, **seen, **typed_in}.items()))


@pytest.mark.parametrize(
    "changes",
    [
        {"raw": json.dumps({**EMAIL, "subject": "\ud800"})},
        {"field__data": '{"a": "\\ud800"}'},
        {"raw": json.dumps({**EMAIL, "data": {"a": ["\udfff"]}})},
    ],
)
def test_half_a_character_is_a_problem_and_what_was_typed_stays(changes: dict[str, str]) -> None:
    draft = typed(body(), sent(draft_of(body()), **changes))
    assert "half a character" in draft.problems[0]
    assert draft.changes is None
    shown = json.dumps([draft.raw, *draft.values().values()], ensure_ascii=False)
    assert shown.encode()
    for name, text in changes.items():
        field = name.removeprefix("field__")
        assert text in {draft.raw, draft.values().get(field)}


def test_a_text_with_a_nul_is_typed_as_json_and_no_other_change_touches_it() -> None:
    before = body(subject="a\0b")
    draft = draft_of(before)
    untouched = typed(before, sent(draft))
    assert (untouched.changes, untouched.looked_at) == (None, True)
    other = typed(before, sent(draft, field__locale="de"))
    assert json.loads(other.body) == {**json.loads(before), "locale": "de"}
    mended = typed(before, sent(draft, field__subject='"ab"'))
    assert (json.loads(mended.body)["subject"], mended.problems) == ("ab", ())
