"""The callers of the API: each sends its request until it is accepted, always with the same Idempotency-Key.

Whatever was promised to them goes into the producers' journal. Of a request that was answered with 503, or not at all,
nobody knows whether it was accepted: only its repeat tells, and that has to name the same ids.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count, takewhile
from time import time
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
from tests.chaos.api_requests import ApiRequest, RequestWriter
from tests.chaos.roles import Role
from tests.chaos.world import World

AT_ONCE: Final = 24
"""Requests under way."""
PATIENCE: Final = 15.0
"""Seconds that a caller waits for an answer: longer than the API waits for both servers."""
PAUSE: Final = 0.1
"""Seconds before a request is repeated…"""
LONGEST_PAUSE: Final = 2.0
"""… and at most, if it was refused often: hundreds may wait for a server that is away."""
LOOKS: Final = 0.05
"""Seconds between two looks of a caller whether it is to hurry."""
PATIENT: Final = {"TIDINGS_EMAIL_SEND_TIMEOUT": "15s", "TIDINGS_SMS_SEND_TIMEOUT": "15s"}
"""Settings of workers that none of the faults hits: on a busy machine the sink itself may be slow."""
WITHIN: Final = 120.0
"""Seconds within which a request is accepted, however often that takes."""
UNDER_WAY: Final = "under way"
"""Said of a request that came before, and has not been answered yet."""
PASSED: Final = "has passed"
"""Said of a time in a request that was not accepted before it."""
LEDGER: Final = """
SELECT n.id::text, n.state, n.epoch, count(a) FILTER (WHERE a.kind IS DISTINCT FROM 'expired')
  FROM notifications n LEFT JOIN attempts a ON a.notification_id = n.id GROUP BY n.id
"""
"""Without attempts that had expired before anybody was asked, which nobody is shown."""
WAITING: Final = """
SELECT n.id::text, n.state FROM outbox_entries e JOIN notifications n ON n.id = e.notification_id
 WHERE n.dispatch_at IS NOT NULL
"""
REPEATED: Final = 60
"""Requests that are sent once more after everything has ended."""
SHOWN: Final = 300
"""Notifications of which the API is asked then."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request on its way to one API process."""

    key: str
    address: str
    began: float


@dataclass
class Callers:
    """Use `calling`.

    Args:
        secret: Their API key.
        addresses: Of the API; each request goes to the next one, and to another if it is not answered.
    """

    made: World
    secret: str
    session: aiohttp.ClientSession
    addresses: Callable[[], Sequence[str]]
    apis: Sequence[Role]
    statuses: Counter[int] = field(default_factory=Counter)
    under_way: set[Attempt] = field(default_factory=set)
    unanswered: list[Attempt] = field(default_factory=list)
    accepted: list[ApiRequest] = field(default_factory=list)
    too_late: int = 0
    """Notifications that were not accepted before their time had passed."""
    _ids: dict[tuple[str, int], str] = field(default_factory=dict)
    """By Idempotency-Key and place."""
    _hurries: bool = False
    _turns: Iterator[int] = field(default_factory=count)

    @asynccontextmanager
    async def submitting(self, seconds: float) -> AsyncIterator[None]:
        """Submit while something else happens; what was begun is accepted at the end.

        Args:
            seconds: How long it takes to submit as many notifications as a run has.
        """
        over = asyncio.Event()
        requests = takewhile(lambda _: not over.is_set(), self._writer().requests())
        task = asyncio.create_task(self._submit(requests, self.made.options.count / seconds))
        try:
            yield
        except BaseException:
            task.cancel()
            raise
        over.set()
        await task

    async def submit(self, notifications: int, seconds: float) -> None:
        """So many notifications, evenly over a time; returns when every request is accepted."""
        await self._submit(self._writer().requests(notifications), notifications / seconds)

    @asynccontextmanager
    async def hurrying(self) -> AsyncIterator[None]:
        """Each caller sends one request after the other meanwhile: there is always one of it under way."""
        self._hurries = True
        try:
            yield
        finally:
            self._hurries = False

    def _writer(self) -> RequestWriter:
        return RequestWriter(self.made.random.getrandbits(32), self.made.writer())

    async def _submit(self, requests: Iterator[ApiRequest], rate: float) -> None:
        due = time()

        async def one_after_the_other() -> None:
            nonlocal due
            for request in requests:
                mine = time()
                if not self._hurries:
                    mine = due = max(due, mine) + len(request.items) / rate
                while not self._hurries and (wait := mine - time()) > 0:
                    await asyncio.sleep(min(wait, LOOKS))
                if not await self._begun(request):
                    group.create_task(self._until_accepted(request))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one_after_the_other())

    async def settled(self) -> None:
        """Everything ends; a request that comes once more is recognised; the API tells what the ledger has."""
        await self.made.until(self.made.nothing_left, "every notification ended", 60)
        self.made.notes.append(
            f"{len(self.accepted)} requests, answers {dict(sorted(self.statuses.items()))}, "
            f"{len(self.unanswered)} without one, {self.too_late} too late"
        )
        repeated = self.made.random.sample(self.accepted, min(REPEATED, len(self.accepted)))
        for request in repeated:
            assert await self._accepted(request), f"{request.key} is refused when it comes again"
        await self._tells_what_the_ledger_has()
        assert not (waiting := await self.made.fetch(WAITING)), f"in the outbox still: {waiting}"

    async def _begun(self, request: ApiRequest) -> bool:
        """Send a request for the first time; whether it was accepted at once.

        If it was not, others go on meanwhile: what one server alone decides is refused for as long as that is away, and
        would soon hold up every caller.
        """
        if request.leaves:
            with suppress(OSError):
                await self._leave_after_body(request)
        if accepted := await self._accepted(request):
            self.accepted.append(request)
        return accepted

    async def _until_accepted(self, request: ApiRequest) -> None:
        deadline, pause = time() + WITHIN * self.made.options.patience, PAUSE
        while True:
            await asyncio.sleep(pause)
            if await self._accepted(request):
                break
            assert time() < deadline, f"{request.key} is not accepted: {self.statuses}"
            pause = min(LONGEST_PAUSE, pause * 2)
        self.accepted.append(request)

    async def _accepted(self, request: ApiRequest) -> bool:
        attempt = Attempt(request.key, self._address(), time())
        self.under_way.add(attempt)
        try:
            async with self.session.post(
                f"{attempt.address}{request.path}",
                data=request.body,
                headers=self._headers(request),
                timeout=aiohttp.ClientTimeout(PATIENCE * self.made.options.patience),
            ) as reply:
                status, answer = reply.status, await reply.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError):
            self.unanswered.append(attempt)
            return False
        finally:
            self.under_way.discard(attempt)
        self.statuses[status] += 1
        match status:
            case 200 | 202:
                return self._noted(request, answer)
            case 422 if self._is_too_late(request, answer.get("errors", [answer])):
                self.too_late += len(request.items)
                return True
            case 503:
                return False
            case _:
                in_use = status == 409 and UNDER_WAY in answer["detail"]
                assert in_use, f"{request.key} was answered with {status}: {answer}"
                return False

    def _noted(self, request: ApiRequest, answer: Mapping[str, Any]) -> bool:
        """Write down what is promised; whether that is everything."""
        everything = True
        answers = answer.get("notifications", [{"index": 0, **answer}])
        assert len(answers) == len(request.items), f"{request.key}: {answer}"
        for entry in answers:
            place = entry["index"]
            match entry["status"]:
                case "accepted" | "duplicate":
                    self._promised(request, place, entry["id"])
                case "unavailable":
                    everything = False
                case _:
                    late = self._is_too_late(request, entry["errors"], place)
                    assert late, f"{request.key}, {place}: {entry}"
                    self.too_late += 1
        return everything

    def _promised(self, request: ApiRequest, place: int, id: str) -> None:
        item, where = request.items[place], (request.key, place)
        if (known := self._ids.get(where)) is not None:
            assert id == known, f"{where}: {known} when it was accepted, and {id} later"
            return
        self._ids[where] = id
        self.made.load.promised(replace(item, id=UUID(id)))

    def _is_too_late(
        self, request: ApiRequest, errors: Sequence[Mapping[str, Any]], place: int | None = None
    ) -> bool:
        """Whether nothing is wrong but that a time has passed, and nothing of it was promised before."""
        places = range(len(request.items)) if place is None else [place]
        return all(PASSED in error["detail"] for error in errors) and not any(
            (request.key, at) in self._ids for at in places
        )

    async def _leave_after_body(self, request: ApiRequest) -> None:
        """Hang up without waiting for the answer."""
        url = urlsplit(self._address())
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        headers = {**self._headers(request), "Content-Length": str(len(request.body))}
        lines = [f"POST {request.path} HTTP/1.1", "Host: api"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + request.body)
        await writer.drain()
        writer.close()

    async def _tells_what_the_ledger_has(self) -> None:
        ledger = {row["id"]: tuple(row) for row in await self.made.fetch(LEDGER)}
        known = list(self._ids.values())
        ids = iter(self.made.random.sample(known, min(SHOWN, len(known))))

        async def ask_for_each() -> None:
            for id in ids:
                answer = await self._shown(id)
                attempts = len(answer.get("attempts", ()))
                shown = (answer.get("id"), answer.get("state"), answer.get("epoch"), attempts)
                assert shown == ledger.get(id), (
                    f"{shown} by the API, {ledger.get(id)} by the ledger"
                )

        await asyncio.gather(*(ask_for_each() for _ in range(AT_ONCE)))

    async def _shown(self, id: str) -> Mapping[str, Any]:
        deadline = time() + WITHIN
        while True:
            url = f"{self._address()}/v1/notifications/{id}"
            async with self.session.get(url, headers=self._headers()) as reply:
                answer: Mapping[str, Any] = await reply.json()
            if reply.status != 503 or time() > deadline:
                return answer
            await asyncio.sleep(PAUSE)

    def _address(self) -> str:
        addresses = self.addresses()
        return addresses[next(self._turns) % len(addresses)]

    def _headers(self, request: ApiRequest | None = None) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.secret}"}
        if request is None:
            return headers
        return {**headers, "Content-Type": "application/json", "Idempotency-Key": request.key}


@asynccontextmanager
async def calling(made: World, apis: int = 2, **extra: str) -> AsyncIterator[Callers]:
    """So many API processes, and callers who know all of them.

    Args:
        extra: Settings of the API.
    """
    created = await made.tidings(
        *("keys", "create", "--tenant", "default", "--scope", "send", "--scope", "read", "--json")
    )
    assert created.code == 0, created.err
    roles = [await made.add(f"api-{it}", ready=False, **extra) for it in range(apis)]
    await asyncio.gather(*(role.ready() for role in roles))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        secret = json.loads(created.out)["secret"]
        yield Callers(
            made,
            secret,
            session,
            lambda: [f"http://127.0.0.1:{role.api_port}" for role in roles],
            roles,
        )
