"""What a newcomer is shown: one notification delivered by each channel, one retried, one dead-lettered and replayed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from secrets import token_hex
from time import perf_counter
from typing import Final
from uuid import UUID

import aiohttp
from pydantic import SecretStr

from tidings.delivery.delay import Delay
from tidings.delivery.errors import TidingsError
from tidings.delivery.states import State
from tidings.ledger import PostgresLedger
from tidings.ledger.notifications.details import NotificationDetails
from tidings.ledger.operators.reports import Reports
from tidings.settings import LedgerSettings
from tidings_local.errors import LocalStackError
from tidings_local.laptop import Laptop

PATIENCE: Final = 30.0
"""Seconds a step may take."""

USER: Final = "ada"
PHONE: Final = "+14155552671"
WELCOME: Final = {
    "product": "Tidings",
    "user": {"first_name": "Ada"},
    "confirm_url": "https://example.com/confirm",
    "valid_hours": 24,
}


@dataclass(frozen=True, slots=True)
class Tour:
    """Where the tour goes, and how it looks what came of it."""

    laptop: Laptop
    reports: Reports
    run: str = field(default_factory=partial(token_hex, 4))
    """Part of each address that is refused but once: what an interrupted tour left behind has another."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one step showed."""

    title: str
    what: str
    id: UUID
    seconds: float


async def delivered(tour: Tour) -> tuple[UUID, str]:
    """An email from a template."""
    id = await _publish(
        tour,
        "email",
        "--to",
        "ada@example.com",
        "--template",
        "welcome",
        "--data",
        json.dumps(WELCOME),
    )
    await _until(tour, id, _is(State.SENT))
    await _in_the_box(tour, id)
    return id, "an email from a template is in the mailbox"


async def delivered_elsewhere(tour: Tour) -> tuple[UUID, str]:
    """A text message and a signed webhook."""
    target = f"{tour.laptop.webhooks.url}/orders"
    text = await _publish(tour, "sms", "--to", PHONE, "--body", "Your parcel is on its way.")
    hook = await _publish(
        tour,
        "webhook",
        "--to",
        target,
        "--set",
        "event_type=order.shipped",
        "--set",
        'payload={"order": 10042}',
    )
    await _until(tour, text, _is(State.SENT))
    await _until(tour, hook, _is(State.SENT))
    await tour.laptop.sms.texts.wait_for(where=lambda it: it.to == PHONE, timeout=PATIENCE)
    await tour.laptop.webhooks.requests.wait_for(
        where=lambda it: str(hook) in it.headers.get("webhook-id", ""),
        timeout=PATIENCE,
    )
    return hook, "a text message and a signed webhook have arrived"


async def in_an_inbox(tour: Tour) -> tuple[UUID, str]:
    """A message in the inbox of an application's user, who reads it with a token."""
    title = "Your parcel arrives today"
    id = await _publish(tour, "in_app", "--to", USER, "--set", f"title={title}")
    await _until(tour, id, _is(State.SENT))
    token = (await tour.laptop.tidings("inbox", "token", USER)).strip()
    url = f"http://{tour.laptop.environment['TIDINGS_API_LISTEN']}/v1/inbox/messages/{id}"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(url, timeout=aiohttp.ClientTimeout(PATIENCE)) as reply,
    ):
        message = await reply.json()
    if message.get("title") != title:
        raise LocalStackError(f"the API shows no such message to {USER}: {message.get('detail')}")
    return id, f"a message is in the in-app inbox of the user {USER}, unread"


async def retried(tour: Tour) -> tuple[UUID, str]:
    """A mail server that is busy at first."""
    id = await _publish(
        tour,
        "email",
        "--to",
        f"fail-once+{tour.run}@example.com",
        "--subject",
        "Second time lucky",
        "--body",
        "Hello!",
    )
    story = await _until(tour, id, _is(State.SENT))
    await _in_the_box(tour, id)
    first, *_ = story.attempts
    if first.state is not State.RETRYING:
        raise LocalStackError(f"the first attempt ended as {first.state}, not in a retry queue")
    queue = f"tidings.email.retry.{Delay(first.retry_delay or 1).name}"
    return id, f"busy at first ({first.code}): it waited in {queue} and went out"


async def dead_lettered_and_replayed(tour: Tour) -> tuple[UUID, str]:
    """A mailbox that is not there, until it is."""
    id = await _publish(
        tour,
        "email",
        "--to",
        f"reject-once+{tour.run}@example.com",
        "--subject",
        "Are you there?",
        "--body",
        "Hello!",
    )
    story = await _until(tour, id, lambda story: bool(story.dead_letters))
    [dead_letter] = story.dead_letters
    await tour.laptop.tidings("replay", str(dead_letter.id), "--yes")
    await _until(tour, id, _is(State.SENT))
    await _in_the_box(tour, id)
    return (
        id,
        f"no such mailbox ({dead_letter.code}): kept as a dead letter, replayed, delivered",
    )


STEPS: Final[tuple[tuple[str, Callable[[Tour], Awaitable[tuple[UUID, str]]]], ...]] = (
    ("delivered", delivered),
    ("delivered", delivered_elsewhere),
    ("delivered", in_an_inbox),
    ("retried", retried),
    ("dead-lettered, replayed", dead_lettered_and_replayed),
)


async def take_tour(laptop: Laptop) -> AsyncIterator[Seen]:
    """Show each step, one after the other.

    Raises:
        LocalStackError: A step did not turn out as it should; says which and how.
    """
    settings = LedgerSettings(database_url=SecretStr(laptop.environment["TIDINGS_DATABASE_URL"]))
    async with PostgresLedger(settings, actor="tour") as ledger:
        for title, step in STEPS:
            began = perf_counter()
            try:
                id, what = await step(Tour(laptop, ledger.reports))
            except TimeoutError:
                raise LocalStackError(
                    f"{title}: nothing to see after {PATIENCE:g}s; see {laptop.log}"
                ) from None
            except TidingsError as error:
                raise LocalStackError(f"{title}: {error}") from error
            yield Seen(title, what, id, perf_counter() - began)


async def _publish(tour: Tour, *arguments: str) -> UUID:
    return UUID(json.loads(await tour.laptop.tidings("publish", *arguments, "--json"))["id"])


async def _until(
    tour: Tour, id: UUID, condition: Callable[[NotificationDetails], bool]
) -> NotificationDetails:
    """Wait until what is remembered of a notification is as it should be."""
    async with asyncio.timeout(PATIENCE):
        while True:
            story = await tour.reports.show(id)
            if story is not None and condition(story):
                return story
            await asyncio.sleep(0.05)


async def _in_the_box(tour: Tour, id: UUID) -> None:
    """Wait until the stand-in for the mail relay has this mail: what is believed to be sent may be elsewhere."""
    await tour.laptop.mail.mails.wait_for(
        where=lambda mail: str(id) in str(mail.message["message-id"]), timeout=PATIENCE
    )


def _is(state: State) -> Callable[[NotificationDetails], bool]:
    return lambda story: story.notification.state is state
