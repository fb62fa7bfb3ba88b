"""A client's copy of an inbox: what the protocol allows leads to the whole inbox, and what it does not allow is noticed."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.support.inbox_copy import InboxCopy, ProtocolBroken
from tests.support.inbox_facts import Facts, Owner

ADA, BOB = Owner("default", "ada"), Owner("default", "bob")
NEVER = ("seen_at", "read_at", "archived_at", "snoozed_until", "deleted_at")


def message(id: str, revision: int, **marks: str) -> dict[str, Any]:
    """A message; its place in the list is that of its first revision, unless given."""
    return {"id": id, "position": revision, "revision": revision, **dict.fromkeys(NEVER), **marks}


def counts(unread: int, unseen: int | None = None) -> dict[str, int]:
    return {"unread": unread, "unseen": unread if unseen is None else unseen}


def changes(revision: int, unread: int, *messages: Mapping[str, Any]) -> dict[str, Any]:
    """A frame."""
    return {
        "type": "changes",
        "revision": revision,
        "counts": counts(unread),
        "data": list(messages),
    }


def page(revision: int, *messages: Mapping[str, Any]) -> dict[str, Any]:
    """A page of the feed."""
    return {"revision": revision, "counts": counts(0), "data": list(messages), "next_cursor": None}


def loaded() -> InboxCopy:
    """A copy of two messages, at revision 2."""
    copy = InboxCopy()
    assert copy.begins({"type": "reset", "revision": 2, "counts": counts(2)})
    copy.page(page(2, message("b", 2), message("a", 1)), {})
    copy.loaded()
    return copy


def test_a_copy_is_complete_once_its_lists_are_loaded_and_follows_from_then_on() -> None:
    copy = loaded()
    assert copy.complete
    assert not copy.frame(changes(3, 1, message("a", 3, read_at="now", position=1)))
    assert not copy.frame(changes(5, 0, message("b", 5, deleted_at="now")))
    assert (copy.complete, copy.revision, list(copy.stored())) == (True, 5, ["a"])
    assert copy.frames == 2


def test_a_page_that_is_newer_than_the_frames_waits_for_them() -> None:
    copy = InboxCopy()
    copy.begins({"type": "reset", "revision": 1, "counts": counts(1)})
    copy.page(page(3, message("c", 3)), {})
    copy.loaded()
    assert not copy.complete
    copy.frame(changes(2, 9, message("b", 2)))  # counts of a moment that the copy is ahead of
    assert not copy.complete
    copy.frame(changes(3, 2, message("c", 3)))
    assert copy.complete


def test_a_page_read_before_a_deletion_does_not_bring_the_message_back() -> None:
    copy = InboxCopy()
    copy.begins({"type": "reset", "revision": 2, "counts": counts(2)})
    copy.frame(changes(3, 1, message("a", 3, deleted_at="now")))
    copy.page(page(2, message("b", 2), message("a", 1)), {})
    copy.loaded()
    assert list(copy.stored()) == ["b"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda copy: copy.frame(changes(2, 2)),
        lambda copy: copy.begins(changes(1, 2)),
        lambda copy: copy.frame(changes(3, 1)),
        lambda copy: copy.frame(changes(3, 3, message("b", 2))),
        lambda copy: copy.frame(changes(3, 3, message("c", 4))),
        lambda copy: copy.frame(changes(4, 4, message("d", 4), message("c", 3))),
        lambda copy: copy.frame({"type": "hello", "revision": 3}),
        lambda copy: InboxCopy().begins(changes(3, 0)),
        lambda copy: copy.page(page(2, message("a", 1), message("b", 2)), {}),
        lambda copy: copy.page(page(2, message("a", 3)), {}),
        lambda copy: copy.page(page(2, message("a", 1, read_at="now")), {}),
        lambda copy: copy.page(page(2, message("c", 2, archived_at="now")), {}),
        lambda copy: copy.since({**changes(1, 2), "reset": False}, 40),
        lambda copy: copy.since({**changes(3, 2, message("c", 3)), "reset": False}, 40),
    ],
    ids=[
        *("revision not higher", "lower after a resume", "badge without the change"),
        *("known before", "beyond its frame", "not in order", "unknown type"),
        *("changes of nothing", "page not newest first", "message newer than its page"),
        *("changed without a revision", "message of another list"),
        *("asked, and lower", "asked, and another badge"),
    ],
)
def test_what_the_protocol_does_not_allow_is_noticed(wrong: Callable[[InboxCopy], object]) -> None:
    with pytest.raises(ProtocolBroken):
        wrong(loaded())


def test_a_copy_tells_how_it_differs_from_what_is_stored() -> None:
    copy = loaded()
    stored = {"a": message("a", 1), "c": message("c", 2)}
    assert sorted(each[:14] for each in copy.differences(stored)) == [
        "b: not stored:",
        "c: only stored",
    ]
    changed = {"a": message("a", 1), "b": message("b", 2, read_at="now")}
    assert list(copy.differences(changed)) == ["b: read_at None, stored 'now'"]


def test_two_clients_that_saw_one_revision_saw_the_same() -> None:
    facts = Facts({"a": ADA})
    facts.counts(ADA, 7, counts(1), "first")
    facts.message(ADA, message("a", 7), "first")
    facts.counts(ADA, 7, counts(1), "second")
    facts.counts(BOB, 7, counts(2), "another user")
    with pytest.raises(ProtocolBroken, match="by second, and 1 by first"):
        facts.counts(ADA, 7, counts(2), "second")
    with pytest.raises(ProtocolBroken, match="one revision, two messages"):
        facts.message(ADA, message("a", 7, read_at="now"), "second")
    with pytest.raises(ProtocolBroken, match="bob was shown a message of default/ada"):
        facts.message(BOB, message("a", 7), "spy")


def test_a_failure_is_told_with_what_led_to_it() -> None:
    facts = Facts()
    for number in range(500):
        facts.note(ADA, "user", f"read {number}", iter([f"id-{number}"]))
        facts.note(BOB, "user", "read nothing")
    history = facts.history(ADA, ProtocolBroken("id-7 is wrong"))
    assert "read 7" in history
    assert "read 499" in history
    assert "read 300" not in history
    assert "nothing" not in history
