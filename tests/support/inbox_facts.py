"""What clients of inboxes have seen, put together: whoever saw the same revision has to have seen the same."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.inbox_copy import Counts, Message, check

KEPT: Final = 4_000
"""Events of one user that are kept to be told of when something is wrong."""
TOLD: Final = 60


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose inbox it is."""

    tenant: str
    user_id: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.user_id}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done to an inbox, or seen of it."""

    number: int
    who: str
    what: str
    ids: frozenset[str] = frozenset()
    """Of the messages that it was about, as far as is known."""

    def __str__(self) -> str:
        return f"{self.number:>6} {self.who}: {self.what}"


@dataclass
class Facts:
    """Of one installation."""

    owners: dict[str, Owner] = field(default_factory=dict)
    """By id of a notification."""
    newest: dict[Owner, int] = field(default_factory=dict)
    """The highest revision of each that anybody has seen."""
    _tallies: dict[tuple[Owner, int, str], tuple[int, str]] = field(default_factory=dict)
    _messages: dict[tuple[str, int], tuple[Message, str]] = field(default_factory=dict)
    _history: dict[Owner, deque[Event]] = field(default_factory=dict)
    _events: int = 0
    looks: int = 0
    """Replies and frames that were compared."""

    def delivered(self, owner: Owner, id: str) -> None:
        """A notification is about to be published."""
        self.owners[id] = owner

    def note(self, owner: Owner, who: str, what: str, ids: Iterator[str] | None = None) -> None:
        """Write down an event."""
        self._events += 1
        event = Event(self._events, who, what, frozenset(ids or ()))
        self._history.setdefault(owner, deque(maxlen=KEPT)).append(event)

    def tally(self, owner: Owner, revision: int, filter: str, number: int, who: str) -> None:
        """How many messages match a filter at a revision."""
        self.looks += 1
        seen, by = self._tallies.setdefault((owner, revision, filter), (number, who))
        check(
            seen == number,
            f"revision {revision} of {owner} has {number} {filter} by {who}, and {seen} by {by}",
        )

    def counts(self, owner: Owner, revision: int, counts: Counts, who: str) -> None:
        """Counts that were seen with a revision."""
        self.newest[owner] = max(self.newest.get(owner, 0), revision)
        for name, number in counts.items():
            self.tally(owner, revision, name, number, who)

    def message(self, owner: Owner, message: Message, who: str) -> None:
        """A message that was seen in an inbox."""
        id = message["id"]
        check(
            self.owners.get(id) == owner,
            f"{who} of {owner} was shown a message of {self.owners.get(id)}: {message}",
        )
        seen, by = self._messages.setdefault((id, message["revision"]), (message, who))
        check(seen == message, f"one revision, two messages: {message} by {who}, {seen} by {by}")

    def reply(self, owner: Owner, reply: Mapping[str, Any], who: str) -> None:
        """A page or a frame: its revision, counts and messages."""
        self.counts(owner, reply["revision"], reply["counts"], who)
        for message in reply.get("data", ()):
            self.message(owner, message, who)

    def history(self, owner: Owner, failure: BaseException) -> str:
        """What led to a failure: the last events of that inbox, and earlier ones of the messages that it names."""
        events = list(self._history.get(owner, ()))
        named = {id for event in events for id in event.ids if id in str(failure)}
        recent = events[-TOLD:]
        earlier = [event for event in events[:-TOLD] if event.ids & named][-TOLD:]
        return "\n".join(map(str, [*earlier, *recent]))
