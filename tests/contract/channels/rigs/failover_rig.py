"""A channel with two providers: the first does as told, and the second never helps."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.contract.channels.rigs.email_rig import RECIPIENT, EmailRig
from tests.contract.channels.rigs.smtp_relay import Relay, Session

from tidings.channels.email.channel import EmailChannel
from tidings.channels.email.settings import EmailSettings
from tidings.delivery.circuit import Circuit, CircuitPolicy
from tidings.delivery.ports import PRIMARY, Channel
from tidings.worker.providers import Provider, Providers


class Steadfast(Circuit):
    """Never opens, so that each send is like the first; what opening means is tested elsewhere."""

    def failed(
        self,
        era: int,
        *,
        misconfigured: bool = False,
        doubtful: bool = False,
        no_sooner_than: float = 0.0,
    ) -> bool:
        """Takes no notice."""
        del misconfigured, doubtful, no_sooner_than
        self.withdrew(era)
        return True


class FailoverRig(EmailRig):
    """Two relays; the second has no room for anybody, and quotes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self._second = Relay()
        self._second.on_mail = _no_room

    async def __aenter__(self) -> Self:
        await self._second.__aenter__()
        return await super().__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await self._second.__aexit__()

    async def channel(self) -> Channel:
        """Both of them behind one channel."""
        settings = EmailSettings(
            host="127.0.0.1",
            port=self._second.port,
            tls="none",
            sender="Tidings <no-reply@tidings.example>",
        )
        both = {PRIMARY: await super().channel(), "backup": EmailChannel(settings)}
        policy = CircuitPolicy()
        return Providers(
            [Provider(name, channel, Steadfast(policy)) for name, channel in both.items()]
        )

    @property
    def taken(self) -> int:
        """By either."""
        return super().taken + len(self._second.mails)

    @property
    def connections(self) -> int:
        """To either."""
        return super().connections + self._second.connections


def _no_room(session: Session) -> None:
    session.plan = {"RCPT": f"452 4.2.2 no room for <{RECIPIENT}>"}


RIG: Callable[[], FailoverRig] = FailoverRig
