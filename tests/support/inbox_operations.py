"""Random operations on inboxes: whatever users, producers, operators and accidents do to them, at the same time.

Each operation is drawn from the seed and its number, and awaits its reply; several players draw the next number in turn. What it is
applied to depends on what has been seen by then, so a seed plays the same story, and not the same interleaving.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final, Protocol
from uuid import UUID

from tests.support.inbox_copy import ProtocolBroken, check
from tests.support.inbox_facts import Facts, Owner
from tests.support.inbox_followers import GONE, Follower, Net

CATEGORIES: Final = ("transactional", "marketing")
TYPES: Final = ("message", "order", "comment")
SEVERITIES: Final = ("info", "success", "warning", "critical")
ACTIONS: Final = (
    {"id": "approve", "label": "Approve"},
    {"id": "reject", "label": "Reject", "url": "/no"},
)
FILTERS: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {"unread": True},
    {"unread": False},
    {"unseen": True},
    {"archived": True},
    {"snoozed": True},
    {"category": ["marketing"]},
    {"type": ["order", "comment"], "unread": True},
    {"severity": ["critical"], "archived": True},
    {"text": "NUMBER 1"},
    {"entity_type": "order"},
)
VERBS: Final = (
    "read",
    "unread",
    "seen",
    "archive",
    "unarchive",
    "snooze",
    "unsnooze",
    "act",
    "delete",
)
PUBLISH: Final = frozenset({"deliver", "burst"})
RARELY: Final = frozenset({"delete"})
BURST: Final = 230
"""Messages at once: more changes than are sent one by one."""


class Installation(Protocol):
    """What operations are done to, other than by the API."""

    async def deliver(self, notifications: Sequence[Mapping[str, Any]]) -> None:
        """Have notifications delivered, sooner or later; the promise is kept whatever happens."""
        ...

    async def change_silently(self, owner: Owner) -> None:
        """Change an inbox, and lose the hint."""
        ...

    async def purge(self, owner: Owner) -> None:
        """Remove what was deleted a moment ago, so that the floor rises."""
        ...

    async def erase(self, owner: Owner) -> None:
        """Erase all that is known of a user."""
        ...

    async def kill(self, role: str) -> None:
        """SIGKILL a process, and start it again."""
        ...

    async def cut_hints(self) -> None:
        """Cut the connections that bring hints."""
        ...


@dataclass
class Operations:
    """Plays operations.

    Args:
        seed: Of all that is drawn.
        weights: By name of an operation, how often it is drawn.
        snoozes: Seconds that a snooze lasts.
        expiring: The part of the messages that expires within seconds.
    """

    seed: int
    net: Net
    installation: Installation
    owners: Sequence[Owner]
    followers: Sequence[Follower]
    weights: Mapping[str, float]
    snoozes: Sequence[float] = (1, 2, 4, 3600)
    expiring: float = 0.1
    over: bool = False
    """Whether nothing more is to be done."""
    done: int = 0
    """Operations; each message that is published counts."""
    by_kind: dict[str, int] = field(default_factory=dict)
    known: dict[Owner, list[str]] = field(default_factory=dict)
    """Ids that were published for each."""
    actionable: set[str] = field(default_factory=set)
    expected: dict[str, Owner] = field(default_factory=dict)
    """Published, and neither deleted nor erased nor expired as far as was asked for."""
    _published: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=count)
    _sleeping: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def facts(self) -> Facts:
        """What all have seen."""
        return self.net.facts

    async def play(self, operations: int, players: int) -> None:
        """So many operations, by several players at once."""
        async with asyncio.TaskGroup() as group:
            for _ in range(players):
                group.create_task(self._player(operations))
        for task in list(self._sleeping):
            await task

    async def _player(self, operations: int) -> None:
        names, weights = list(self.weights), list(self.weights.values())
        while self.done < operations and not self.over:
            number = next(self._numbers)
            draw = random.Random(f"{self.seed}:{number}")
            name = draw.choices(names, weights)[0]
            owner = draw.choice(self.owners)
            operation: Callable[[random.Random, Owner], Awaitable[None]] = getattr(self, name)
            try:
                await operation(draw, owner)
            except ProtocolBroken as broken:
                broken.add_note(self.facts.history(owner, broken))
                raise
            self.done += name not in PUBLISH
            self.by_kind[name] = self.by_kind.get(name, 0) + 1

    # ---------------------------------------------------------------- producers

    async def deliver(self, draw: random.Random, owner: Owner) -> None:
        """New messages."""
        await self._publish(
            owner, [self._notification(draw, owner) for _ in range(draw.choice((1, 1, 2, 5)))]
        )

    async def burst(self, draw: random.Random, owner: Owner) -> None:
        """More than a client is sent one by one, while some sleep."""
        for follower in self.followers:
            if follower.owner == owner and draw.random() < 0.5:
                self._put_to_sleep(follower, draw.uniform(2, 4))
        await self._publish(owner, [self._notification(draw, owner) for _ in range(BURST)])

    async def redeliver(self, draw: random.Random, owner: Owner) -> None:
        """The same notifications again."""
        if ids := self.known.get(owner):
            again = [self._published[id] for id in draw.sample(ids, min(3, len(ids)))]
            await self.installation.deliver(again)

    async def change_silently(self, draw: random.Random, owner: Owner) -> None:
        """A change of which no hint tells."""
        await self.installation.change_silently(owner)

    def _notification(self, draw: random.Random, owner: Owner) -> Mapping[str, Any]:
        id = str(UUID(int=draw.getrandbits(128), version=4))
        number = sum(map(len, self.known.values()))
        made: dict[str, Any] = {
            "id": id,
            "version": 1,
            "channel": "in_app",
            "tenant": owner.tenant,
            "priority": "normal",
            "recipient": owner.user_id,
            "title": f"Number {number} of {owner}",
            "category": draw.choice(CATEGORIES),
            "type": draw.choice(TYPES),
            "severity": draw.choice(SEVERITIES),
        }
        if draw.random() < 0.5:
            made["actions"] = [dict(action) for action in ACTIONS[: draw.randint(1, 2)]]
            self.actionable.add(id)
        if draw.random() < 0.3:
            made["entity"] = {"type": "order", "id": str(number)}
            made["data"] = {"order": number, "text": "ä\u2028 </script>", "parts": [1.5, None, {}]}
        if draw.random() < 0.3:
            made["body"] = "Lines\nof a body, with 100 % _wild_ cards and a quote '."
        if draw.random() < self.expiring:
            limit = datetime.now(UTC) + timedelta(seconds=draw.uniform(2, 8))
            made["expires_at"] = limit.isoformat()
        return made

    async def _publish(self, owner: Owner, notifications: Sequence[Mapping[str, Any]]) -> None:
        for notification in notifications:
            id = notification["id"]
            self.facts.delivered(owner, id)
            self._published[id] = notification
            if "expires_at" not in notification:
                self.expected[id] = owner
        await self.installation.deliver(notifications)
        self.done += len(notifications)
        self.known.setdefault(owner, []).extend(it["id"] for it in notifications)

    # ---------------------------------------------------------------- users

    async def mark(self, draw: random.Random, owner: Owner) -> None:
        """Mark one or many by id; sometimes others' ids are among them, or all there are."""
        verb = draw.choice(VERBS)
        if verb in RARELY and draw.random() < 0.6:
            verb = "read"
        own = self._ids(owner, verb)
        ids = draw.sample(own, min(len(own), draw.choice((1, 1, 2, 8))))
        others = self._ids(draw.choice([it for it in self.owners if it != owner]), verb)
        foreign = draw.sample(others, min(2, len(others))) if draw.random() < 0.15 else []
        if foreign and draw.random() < 0.5:
            ids = []
        if not ids and not foreign:
            return
        body = {"ids": [*ids, *foreign], **self._more(draw, verb)}
        reply = await self._marked(owner, verb, body, ids)
        if reply is not None:
            check(
                reply["changed"] <= len(ids), f"{owner} changed messages of others: {body}: {reply}"
            )

    async def mark_all(self, draw: random.Random, owner: Owner) -> None:
        """Mark all of a list that were there at a revision."""
        verb = draw.choices(VERBS, [4, 2, 3, 1, 3, 0.3, 2, 1, 0.1])[0]
        newest = self.facts.newest.get(owner, 0)
        body: dict[str, Any] = {
            "up_to": draw.choice((newest, newest // 2)),
            **self._more(draw, verb),
        }
        wanted = draw.choice(FILTERS)
        if wanted:
            body["filter"] = wanted
        await self._marked(owner, verb, body, self.known.get(owner, []) if verb == "delete" else [])

    async def _marked(
        self, owner: Owner, verb: str, body: Mapping[str, Any], ids: Sequence[str]
    ) -> Mapping[str, Any] | None:
        """The reply; None if there was none: then nobody knows whether it was done."""
        if verb == "delete":
            for id in ids:
                self.expected.pop(id, None)
        newest = self.facts.newest.get(owner, 0)
        try:
            status, reply = await self.net.ask(owner, "POST", f"/v1/inbox/{verb}", json=body)
        except GONE as error:
            self.facts.note(owner, "user", f"{verb} {body}: {error!r}", iter(ids))
            return None
        self.facts.note(owner, "user", f"{verb} {body}: {reply}", iter(ids))
        too_late = status == 422 and "until" in body and "has passed" in str(reply)
        if status == 503 or too_late:
            return None
        check(status == 200, f"{verb} {body} of {owner}: {status} {reply}")
        check(reply["revision"] >= newest, f"{verb} of {owner} at {reply}, after {newest}")
        self.facts.counts(owner, reply["revision"], reply["counts"], verb)
        return dict(reply)

    def _ids(self, owner: Owner, verb: str) -> Sequence[str]:
        ids = self.known.get(owner, [])[-400:]
        return [id for id in ids if id in self.actionable] if verb == "act" else ids

    def _more(self, draw: random.Random, verb: str) -> Mapping[str, Any]:
        match verb:
            case "snooze":
                until = datetime.now(UTC) + timedelta(seconds=draw.choice(self.snoozes))
                return {"until": until.isoformat()}
            case "act":
                return {"action": "approve"}
            case _:
                return {}

    async def list_(self, draw: random.Random, owner: Owner) -> None:
        """Read a list to its end, or the first pages of it."""
        wanted, cursor, shown = draw.choice(FILTERS), {}, 0
        query = [(name, value) for name, values in wanted.items() for value in _texts(values)]
        revisions = set()
        for _ in range(draw.choice((1, 4))):
            newest = self.facts.newest.get(owner, 0)
            how = {"params": [*query, ("limit", str(draw.choice((20, 100)))), *cursor.items()]}
            reply = await self._answered(owner, "GET", "/v1/inbox", **how)
            if reply is None:
                return
            check(reply["revision"] >= newest, f"{owner} at {reply['revision']} after {newest}")
            self.facts.reply(owner, reply, "list")
            revisions.add(reply["revision"])
            shown += len(reply["data"])
            if reply["next_cursor"] is None:
                if len(revisions) == 1:  # all of one moment
                    self.facts.tally(owner, revisions.pop(), _name(wanted), shown, "list")
                return
            cursor = {"cursor": reply["next_cursor"]}

    async def count(self, draw: random.Random, owner: Owner) -> None:
        """Count what matches many filters."""
        body = {"filters": FILTERS}
        if (
            reply := await self._answered(owner, "POST", "/v1/inbox/counts", json=body)
        ) is not None:
            for wanted, number in zip(FILTERS, reply["counts"], strict=True):
                self.facts.tally(owner, reply["revision"], _name(wanted), number, "counts")
        reply = await self._answered(owner, "GET", "/v1/inbox/unread-count")
        if reply is not None:
            counts = {name: reply[name] for name in ("unread", "unseen")}
            self.facts.counts(owner, reply["revision"], counts, "unread-count")
            for by in ("by_type", "by_category"):
                check(sum(reply[by].values()) == counts["unread"], f"{by} of {owner}: {reply}")

    async def spy(self, draw: random.Random, owner: Owner) -> None:
        """Try others' ids and cursors."""
        other = draw.choice([it for it in self.owners if it != owner])
        if ids := self.known.get(other):
            path = f"/v1/inbox/messages/{draw.choice(ids)}"
            with suppress(*GONE):
                status, reply = await self.net.ask(owner, "GET", path)
                check(status in {404, 503}, f"{owner} reads a message of {other}: {status} {reply}")
        page = await self._answered(other, "GET", "/v1/inbox", params={"limit": "1"})
        if page is not None and page["next_cursor"] is not None:
            with suppress(*GONE):
                params = {"cursor": page["next_cursor"]}
                status, reply = await self.net.ask(owner, "GET", "/v1/inbox", params=params)
                check(status in {422, 503}, f"{owner} uses a cursor of {other}: {status} {reply}")

    async def _answered(self, owner: Owner, method: str, path: str, **how: Any) -> Any:
        """The reply; None if a process was killed before it came."""
        try:
            status, reply = await self.net.ask(owner, method, path, **how)
        except GONE:
            return None
        if status == 503:
            return None
        check(status == 200, f"{method} {path} {how} of {owner}: {status} {reply}")
        return reply

    # ---------------------------------------------------------------- operators and accidents

    async def nap(self, draw: random.Random, owner: Owner) -> None:
        """A client loses its connection, and comes back at once or later, mostly to another process."""
        followers = [follower for follower in self.followers if follower.owner == owner]
        self._put_to_sleep(draw.choice(followers), draw.choice((0.0, 0.0, 1.0, 3.0)))

    def _put_to_sleep(self, follower: Follower, seconds: float) -> None:
        if not follower.asleep.is_set():
            task = asyncio.create_task(follower.sleep(seconds))
            self._sleeping.add(task)
            task.add_done_callback(self._sleeping.discard)

    async def purge(self, draw: random.Random, owner: Owner) -> None:
        """Remove tombstones."""
        await self.installation.purge(owner)
        self.facts.note(owner, "operator", "purged")

    async def erase(self, draw: random.Random, owner: Owner) -> None:
        """Erase a user. What is published meanwhile may be erased too, or not."""
        self._expect_nothing(owner)
        await self.installation.erase(owner)
        self._expect_nothing(owner)
        self.facts.note(owner, "operator", "erased")

    def _expect_nothing(self, owner: Owner) -> None:
        for id in [id for id, its in self.expected.items() if its == owner]:
            del self.expected[id]

    async def kill_api(self, draw: random.Random, owner: Owner) -> None:
        """SIGKILL a process of the API."""
        await self.installation.kill("api")

    async def kill_worker(self, draw: random.Random, owner: Owner) -> None:
        """SIGKILL the worker."""
        await self.installation.kill("worker")

    async def kill_scheduler(self, draw: random.Random, owner: Owner) -> None:
        """SIGKILL the scheduler."""
        await self.installation.kill("scheduler")

    async def cut_hints(self, draw: random.Random, owner: Owner) -> None:
        """Cut the connections that bring hints."""
        await self.installation.cut_hints()


def _texts(values: Any) -> Sequence[str]:
    every = values if isinstance(values, list) else [values]
    return [str(value).lower() if isinstance(value, bool) else value for value in every]


def _name(wanted: Mapping[str, Any]) -> str:
    """`unread` and `unseen` as the counts of a frame call them."""
    if wanted in ({"unread": True}, {"unseen": True}):
        return next(iter(wanted))
    return str(dict(sorted(wanted.items())))
