"""Publishes mail, delivers it through a real server, and compares what came with what was promised."""

import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import asyncpg
from tests.mta.server import MailServer
from tests.support.processes import Role, running
from tests.support.worker_rig import eventually

from tidings_events import EmailNotification, Producer

# As Postfix, Exim, OpenSMTPD, Sendmail and Haraka say it.
_OUT_OF_TURN: Final = re.compile(
    r"improper command pipelining|synchronization error|out of sequence|non-mail commands"
    r"|pipelined after end of DATA|bad sequence|SMTP protocol",
    re.IGNORECASE,
)
_HUNG_UP: Final = re.compile(
    r"lost connection|lost input channel|unexpected disconnection|reason=(?!quit)|timeout",
    re.IGNORECASE,
)


class Rig:
    """One server, and the workers that hand mail to it.

    Args:
        env: The workers' settings.
        log: Where the workers log.
    """

    def __init__(self, server: MailServer, env: Mapping[str, str], log: Path) -> None:
        self.server = server
        self.env = dict(env)
        self.log = log
        self.published: dict[str, str] = {}
        """Recipients by the id of their notification."""

    @asynccontextmanager
    async def working(self, **settings: str) -> AsyncIterator[Role]:
        """A worker, which ends in good order."""
        async with running("worker", env={**self.env, **settings}, log=self.log) as worker:
            yield worker
            if worker.process.returncode is None:
                worker.signal(signal.SIGTERM)
                await worker.ended()

    async def publish(self, *recipients: str, priority: str = "normal") -> list[str]:
        """Publish a mail for each, confirmed; their ids."""
        batch = [
            EmailNotification(
                recipient=recipient, subject="Hello", body="How are you?", priority=priority
            )
            for recipient in recipients
        ]
        async with Producer(self.env["TIDINGS_AMQP_URL"]) as producer:
            await producer.publish_many(batch)
        named = {str(notification.id): notification.recipient for notification in batch}
        self.published |= named
        return list(named)

    async def publish_to_several(
        self, recipient: str, cc: Sequence[str], bcc: Sequence[str] = ()
    ) -> str:
        """Publish a mail with copies, confirmed; its id."""
        mail = EmailNotification(
            recipient=recipient, cc=tuple(cc), bcc=tuple(bcc), subject="Hello", body="How are you?"
        )
        async with Producer(self.env["TIDINGS_AMQP_URL"]) as producer:
            await producer.publish(mail)
        return str(mail.id)

    async def publish_with(self, recipient: str, body: str, **headers: str) -> str:
        """Publish a mail with headers of its own, confirmed; its id."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        mail = EmailNotification(recipient=recipient, subject="Hello", body=body, headers=named)
        async with Producer(self.env["TIDINGS_AMQP_URL"]) as producer:
            await producer.publish(mail)
        return str(mail.id)

    async def results(self, id: str) -> Counter[tuple[str, str]]:
        """How many recipients of a mail fared how: their name without its number, and what became of them."""
        rows = await self.fetch(
            "SELECT address, state FROM recipient_results WHERE notification_id::text = $1", id
        )
        return Counter((row["address"].partition("+")[0], row["state"]) for row in rows)

    async def sent(self, ids: Iterable[str], within: float) -> float:
        """Wait until all of these are sent; how many seconds that took."""
        started = monotonic()
        await self.are(ids, "sent", within)
        return monotonic() - started

    async def are(self, ids: Iterable[str], state: str, within: float) -> None:
        """Wait until all of these are in a state."""
        wanted = list(ids)

        async def reached() -> bool:
            rows = await self.fetch(
                "SELECT count(*) FROM notifications WHERE id = ANY($1) AND state = $2",
                wanted,
                state,
            )
            return bool(rows[0]["count"] == len(wanted))

        try:
            await eventually(reached, within)
        except TimeoutError:
            raise AssertionError(
                f"not all {state} within {within:g} s: {await self.story(wanted)}"
            ) from None

    async def story(self, ids: Iterable[str]) -> Counter[str]:
        """What became of these, for people."""
        rows = await self.fetch(
            "SELECT recipient, state, reason, failure_kind, failure_message FROM notifications"
            " WHERE id = ANY($1)",
            list(ids),
        )
        return Counter(
            f"{re.sub('[0-9]+', '', row['recipient'])} {row['state']} {row['reason']}"
            f" {row['failure_kind']} {row['failure_message']}"
            for row in rows
        )

    async def attempts(self, ids: Iterable[str]) -> Counter[str]:
        """Attempts that are recorded of these, by id."""
        rows = await self.fetch(
            "SELECT notification_id::text AS id, count(*) AS count FROM attempts"
            " WHERE notification_id = ANY($1) GROUP BY 1",
            list(ids),
        )
        return Counter({row["id"]: row["count"] for row in rows})

    async def reasons(self, ids: Iterable[str]) -> Counter[str]:
        """Why these are dead letters."""
        rows = await self.fetch(
            "SELECT reason, count(*) AS count FROM notifications"
            " WHERE id = ANY($1) AND state = 'failed' GROUP BY 1",
            list(ids),
        )
        return Counter({row["reason"]: row["count"] for row in rows})

    async def some_refused(self, ids: Iterable[str]) -> None:
        """Wait until one of these was refused, whatever that means for it."""
        wanted = list(ids)
        query = "SELECT FROM notifications WHERE id = ANY($1) AND failure_message IS NOT NULL"

        async def refused() -> bool:
            return bool(await self.fetch(query, wanted))

        await eventually(refused, within=30)

    async def some_arrived(self, count: int) -> None:
        """Wait until so many are in the mailboxes."""
        await eventually(lambda: len(self.server.delivered()) >= count, within=60)

    async def twice(self, ids: Iterable[str]) -> list[str]:
        """Wait until all of these are in the mailboxes; which of them are there more than once."""
        wanted = set(ids)
        try:
            await eventually(lambda: wanted <= set(self.server.delivered()), within=60)
        except TimeoutError:
            lost = len(wanted - set(self.server.delivered()))
            raise AssertionError(f"{lost} of {len(wanted)} never arrived") from None
        return [id for id, times in self.server.delivered().items() if id in wanted and times > 1]

    def complaints(self, *, hung_up: bool = True) -> list[str]:
        """What the server has logged against the way we speak: see `complaints_in`."""
        return complaints_in(self.server.log(), hung_up=hung_up)

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """Ask the database."""
        connection = await asyncpg.connect(self.env["TIDINGS_DATABASE_URL"])
        try:
            found: list[Any] = await connection.fetch(query, *arguments)
        finally:
            await connection.close()
        return found


def complaints_in(log: str, *, hung_up: bool = True) -> list[str]:
    """What a server has logged against the way it is spoken to.

    Args:
        hung_up: Also that somebody hung up on it, as a worker that is killed does.
    """
    lines = log.splitlines()
    return [
        line for line in lines if _OUT_OF_TURN.search(line) or (hung_up and _HUNG_UP.search(line))
    ]


def people(who: str, count: int, domain: str = "example.com") -> list[str]:
    """So many addresses that a server treats alike."""
    return [f"{who}+{number}@{domain}" for number in range(count)]
