"""`python -m tests.support.submitting_process STEP KEY`: accepts three at once, and is killed at a step of it."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.support.submission_rig import ACTOR, KEY_HASH, mail

from tidings.broker.publisher import BrokerPublisher
from tidings.ledger import PostgresLedger
from tidings.ledger.notifications.accepting import Accepting
from tidings.operations.backend import Backend
from tidings.operations.submissions.callers import Caller
from tidings.operations.submissions.intake import Intake
from tidings.operations.submissions.several import SubmitSeveralRequest, submit_batch
from tidings.operations.submissions.single import SubmitRequest, submit
from tidings.settings import Settings

STEPS: Final = ("before-store", "after-store", "while-publishing", "after-publish")
FORMS: Final = ("single", "batch")

Step = Callable[..., Awaitable[Any]]


def kill(*_: object) -> None:
    """End at once, as if the power failed."""
    os.kill(os.getpid(), signal.SIGKILL)


def killed_before(step: Step) -> Step:
    """A step that is never begun."""

    async def replaced(*_: object, **__: object) -> None:
        kill()

    return replaced


def killed_after(step: Step) -> Step:
    """A step that is done, and nobody hears of it."""

    async def replaced(*arguments: object, **named: object) -> None:
        await step(*arguments, **named)
        kill()

    return replaced


def killed_during(step: Step) -> Step:
    """A step that has begun: what it wrote is on its way."""

    async def replaced(*arguments: object, **named: object) -> None:
        asyncio.get_running_loop().call_later(0.001, kill)
        await step(*arguments, **named)
        await asyncio.sleep(1)

    return replaced


def arrange(step: str) -> None:
    """Have this process end at a step."""
    match step:
        case "before-store":
            Accepting.store = killed_before(Accepting.store)  # type: ignore[method-assign]
        case "after-store":
            Accepting.store = killed_after(Accepting.store)  # type: ignore[method-assign]
        case "while-publishing":
            BrokerPublisher.publish_all = killed_during(BrokerPublisher.publish_all)  # type: ignore[method-assign]
        case "after-publish":
            BrokerPublisher.publish_all = killed_after(BrokerPublisher.publish_all)  # type: ignore[method-assign]


async def run(backend: Backend, form: str, key: str) -> None:
    """Submit what a test repeats afterwards."""
    caller = Caller("tk_live_shop", KEY_HASH, None, key)
    if form == "single":
        await submit(backend, ACTOR, SubmitRequest(caller, mail(subject=key)))
    else:
        body = b'{"notifications": [%b]}' % b", ".join([mail(subject=key)] * 3)
        await submit_batch(backend, ACTOR, SubmitSeveralRequest(caller, body))


def main() -> None:
    """Be killed at a step of submitting in a form, with a key: the arguments of the command."""
    asyncio.run(_submit(*sys.argv[1:]))


async def _submit(step: str, form: str, key: str) -> None:
    settings = Settings()
    async with (
        PostgresLedger(settings.ledger, actor=f"api {os.getpid()}") as ledger,
        Intake(settings, ledger) as intake,
    ):
        while not intake.connected:
            await asyncio.sleep(0.01)
        arrange(step)
        await run(Backend(settings, ledger, intake), form, key)


if __name__ == "__main__":
    main()
