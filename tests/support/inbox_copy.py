"""A client's own copy of an inbox, kept by the protocol of docs/inbox-protocol.md: this is that page as a program.

It knows nothing of a connection. Whoever has one passes on what comes by it: frames, pages of lists, and replies to `?since=`.
Whatever contradicts the protocol raises `ProtocolBroken`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Message = Mapping[str, Any]
Counts = Mapping[str, int]

LISTS: Final[Sequence[Mapping[str, str]]] = ({}, {"archived": "true"}, {"snoozed": "true"})
"""Filters of the three lists in one of which every message is that is not deleted."""


class ProtocolBroken(AssertionError):
    """The server sent what the protocol does not allow."""


def check(condition: bool, what: str) -> None:
    """Raises ProtocolBroken unless the condition holds."""
    if not condition:
        raise ProtocolBroken(what)


def in_feed(message: Message) -> bool:
    """Whether the feed shows it."""
    return not (message["archived_at"] or message["snoozed_until"] or message["deleted_at"])


def unread(message: Message) -> bool:
    """Whether it counts as unread."""
    return in_feed(message) and not message["read_at"]


def unseen(message: Message) -> bool:
    """Whether it counts as unseen."""
    return unread(message) and not message["seen_at"]


def counted(messages: Mapping[str, Message]) -> Counts:
    """The counts that belong to these messages, by the rules of the lists."""
    return {
        "unread": sum(map(unread, messages.values())),
        "unseen": sum(map(unseen, messages.values())),
    }


@dataclass
class InboxCopy:
    """What one client knows of one inbox."""

    revision: int | None = None
    """Up to which it knows all changes; None: it has to begin with a reset."""
    messages: dict[str, Message] = field(default_factory=dict)
    """By id; deleted ones stay, so that a page that was read earlier does not bring them back."""
    loading: bool = True
    """Whether the lists have to be loaded, or are being loaded."""
    ahead: int = 0
    """The highest revision of a page: messages may be as new as this."""
    frames: int = 0
    """Frames whose counts were compared with those of the copy."""

    @property
    def complete(self) -> bool:
        """Whether it has every message as it was at `revision`."""
        return not self.loading and self.revision is not None and self.ahead <= self.revision

    def reset(self, revision: int) -> None:
        """All anew: the lists are to be loaded."""
        self.revision, self.messages = revision, {}
        self.loading, self.ahead = True, revision

    def page(self, reply: Mapping[str, Any], shown: Mapping[str, str]) -> None:
        """A page of a list.

        Args:
            shown: The filter of the list.
        """
        self.ahead = max(self.ahead, reply["revision"])
        positions = [message["position"] for message in reply["data"]]
        check(positions == sorted(set(positions), reverse=True), f"page not newest first: {reply}")
        for message in reply["data"]:
            listed = (bool(message["archived_at"]), bool(message["snoozed_until"]))
            wanted = ("archived" in shown, "snoozed" in shown)
            check(listed == wanted and not message["deleted_at"], f"in another list: {message}")
            check(message["revision"] <= reply["revision"], f"newer than its page: {message}")
            self._take(message)

    def loaded(self) -> None:
        """All pages of all lists were passed on since the reset."""
        self.loading = False

    def begins(self, frame: Mapping[str, Any]) -> bool:
        """The first frame of a connection: the revision may be the one that is known. Otherwise like `frame`."""
        return self._frame(frame, first=True)

    def frame(self, frame: Mapping[str, Any]) -> bool:
        """A frame that has a revision; whether the lists are to be loaded now."""
        return self._frame(frame, first=False)

    def _frame(self, frame: Mapping[str, Any], *, first: bool) -> bool:
        revision, known = frame["revision"], self.revision
        match frame["type"]:
            case "reset":
                self.reset(revision)
                return True
            case "changes":
                check(known is not None, f"changes for a client that knows nothing: {frame}")
                assert known is not None
                rises = revision >= known if first else revision > known
                check(rises, f"revision {revision} after {known}")
                self._changes(frame, known)
                self._compare(frame)
                return False
            case other:
                raise ProtocolBroken(f"a frame of type {other!r}")

    def since(self, reply: Mapping[str, Any], limit: int) -> bool:
        """A reply to `?since=` with the copy's revision; whether there may be more.

        Args:
            limit: The request's.
        """
        known = self.revision
        assert known is not None
        if reply["reset"]:
            self.reset(reply["revision"])
            return True
        check(reply["revision"] >= known, f"revision {reply['revision']} after {known}")
        self._changes(reply, known)
        whole = len(reply["data"]) < limit
        if whole:  # counts are those of the head, which this is
            self._compare(reply)
        return not whole

    def _changes(self, frame: Mapping[str, Any], known: int) -> None:
        """Every message that has changed after `known`, oldest change first, and nothing else."""
        revisions = [message["revision"] for message in frame["data"]]
        check(
            revisions == sorted(set(revisions)),
            f"changes not in the order of their revisions: {revisions}",
        )
        beyond = [it for it in revisions if not known < it <= frame["revision"]]
        check(not beyond, f"changes {beyond} outside ({known}, {frame['revision']}]")
        for message in frame["data"]:
            self._take(message)
        self.revision = frame["revision"]

    def _take(self, message: Message) -> None:
        """It replaces the one with the same id, unless that is as new."""
        have = self.messages.get(message["id"])
        if have is None or have["revision"] < message["revision"]:
            self.messages[message["id"]] = message
        elif have["revision"] == message["revision"]:
            check(have == message, f"two messages of one revision: {have} and {message}")

    def _compare(self, frame: Mapping[str, Any]) -> None:
        if not self.complete:
            return
        self.frames += 1
        own = counted(self.messages)
        check(
            frame["counts"] == own,
            f"badge {frame['counts']} at revision {frame['revision']}, where the messages make {own}",
        )

    def stored(self) -> dict[str, Message]:
        """Every message that is not deleted."""
        return {id: it for id, it in self.messages.items() if not it["deleted_at"]}

    def differences(self, stored: Mapping[str, Message]) -> Iterator[str]:
        """How the copy differs from what is stored, deleted messages left out of both."""
        own = self.stored()
        for id in own.keys() | stored.keys():
            mine, its = own.get(id), stored.get(id)
            if mine is None or its is None:
                yield f"{id}: {'only stored' if mine is None else 'not stored'}: {its or mine}"
            elif mine != its:
                yield f"{id}: " + ", ".join(
                    f"{name} {mine[name]!r}, stored {its[name]!r}"
                    for name in its
                    if mine[name] != its[name]
                )
