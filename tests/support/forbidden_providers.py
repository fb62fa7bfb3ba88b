"""Workers of every channel whose providers are not to be called: what is sent to them fails the test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.doubles.channel import ScriptedChannel
from tests.support.worker_rig import Rig

from tidings.delivery.ports import SendRequest
from tidings_events import CHANNELS

FALLBACK = {"TIDINGS_EMAIL_FALLBACKS": "backup", "TIDINGS_EMAIL_BACKUP_HOST": "not.asked"}
"""Settings of the fallback."""


def never(request: SendRequest, _: int) -> Exception:
    """The script of such a provider."""
    return AssertionError(f"a provider was asked to send {request.attempt.id}")


@asynccontextmanager
async def forbidden_providers(rig: Rig) -> AsyncIterator[None]:
    """A worker of each channel, that of email with a fallback too. At the end no provider was called.

    Args:
        rig: With the settings of `FALLBACK`.
    """
    backup = ScriptedChannel("email", never)
    providers = [ScriptedChannel(channel, never) for channel in CHANNELS]
    async with AsyncExitStack() as stack:
        for provider in providers:
            fallbacks = {"backup": backup} if provider.name == backup.name else {}
            working = rig.working(provider, provider.name, fallbacks=fallbacks)
            await stack.enter_async_context(working)
        yield
    called = {
        provider.name: provider.requests for provider in (*providers, backup) if provider.requests
    }
    assert called == {}
