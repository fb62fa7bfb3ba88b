"""A channel that follows a script, and keeps its requests."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeAlias
from uuid import UUID

from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest, TemplateParts, Verdict

Script: TypeAlias = Callable[[SendRequest, int], float | Exception | Sent | None]
"""Given a request and how often this notification was sent before: seconds to take, what to raise, or what
to say of it."""


def always_sent(request: SendRequest, before: int) -> None:
    """Send everything at once."""
    del request, before


class ScriptedChannel:
    """Sends nothing anywhere.

    Args:
        name: The channel it stands for.
        script: What each send does.
    """

    def __init__(self, name: str = "email", script: Script = always_sent) -> None:
        self.name = name
        self.template_parts = TemplateParts(
            {"subject": "subject", "text": "text"}, {"html": "html"}
        )
        self.requests: list[SendRequest] = []
        """Every request, in the order in which sending began."""
        self.sent: dict[UUID, int] = defaultdict(int)
        """How often each notification went out."""
        self.under_way = 0
        self.most_at_once = 0
        self.closed = False
        self._script = script

    async def send(self, request: SendRequest) -> Sent:
        """Do as the script says."""
        before = sum(1 for earlier in self.requests if earlier.attempt.id == request.attempt.id)
        self.requests.append(request)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            match self._script(request, before):
                case None:
                    pass
                case Exception() as error:
                    raise error
                case Sent() as sent:
                    self.sent[request.attempt.id] += 1
                    return sent
                case seconds:
                    await asyncio.sleep(seconds)
        finally:
            self.under_way -= 1
        self.sent[request.attempt.id] += 1
        return Sent("scripted", str(request.attempt.id), "250")

    async def check(self) -> Sequence[Finding]:
        """There is nothing that could be wrong."""
        return [Finding(self.name, Verdict.OK, "scripted")]

    async def close(self) -> None:
        """Nothing is open."""
        self.closed = True
