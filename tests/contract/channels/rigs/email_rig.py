"""Email's rig: an SMTP relay."""

from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import ClassVar, Self

from tests.contract.channels.rig import PERSONAL, WORDS, Behaviour, request_for
from tests.contract.channels.rigs import smtp_relay
from tests.contract.channels.rigs.smtp_relay import Action, Relay, Session

from tidings.channels.email.channel import EmailChannel
from tidings.channels.email.settings import EmailSettings
from tidings.delivery.ports import Channel, Content, SendRequest

RECIPIENT = "wilhelmina.harker@carfax.example"
_QUOTED = f"<{RECIPIENT}>: wilhelmina.harker said no to {WORDS.subject}: {WORDS.text}"

_PLANS: Mapping[Behaviour, tuple[str, Action]] = {
    Behaviour.REJECTED: ("RCPT", f"550 5.1.1 {_QUOTED}"),
    Behaviour.UNAVAILABLE: ("MAIL", f"451 4.3.0 {_QUOTED}"),
    Behaviour.GONE: ("DATA", smtp_relay.drop),
    Behaviour.THROTTLED: ("RCPT", f"450 4.7.28 {_QUOTED}"),
    Behaviour.TIMEOUT: ("MAIL", smtp_relay.fall_silent),
    Behaviour.REPLY_LOST: ("PAYLOAD", smtp_relay.drop),
    Behaviour.REPLY_LATE: ("PAYLOAD", smtp_relay.fall_silent),
    Behaviour.GARBAGE: ("RCPT", f"\0\xff\xfe {_QUOTED}"),
    Behaviour.ENDLESS: ("RCPT", smtp_relay.never_end),
    Behaviour.MISCONFIGURED: ("MAIL", f"553 5.7.1 sender not owned by user, {_QUOTED}"),
}
_MET_AGAIN = {Behaviour.UNAVAILABLE, Behaviour.GONE, Behaviour.MISCONFIGURED}


class EmailRig:
    """A relay on loopback that speaks no TLS and wants no login."""

    name: ClassVar[str] = "email"
    speaks: ClassVar[frozenset[Behaviour]] = frozenset(Behaviour)
    faults: ClassVar[frozenset[Behaviour]] = frozenset(
        {Behaviour.MISCONFIGURED, Behaviour.UNAVAILABLE, Behaviour.TIMEOUT}
    )
    personal: ClassVar[tuple[str, ...]] = (RECIPIENT, "wilhelmina.harker", *PERSONAL)

    def __init__(self) -> None:
        self._relay = Relay()
        self._relay.on_mail = self._plan
        self._behaviours: deque[Behaviour] = deque()
        self._again: deque[Behaviour] = deque()
        self._known: set[Session] = set()

    async def __aenter__(self) -> Self:
        await self._relay.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._relay.__aexit__()

    async def channel(self) -> Channel:
        """Three connections, so that sends have to wait for one another."""
        return EmailChannel(
            EmailSettings(
                host="127.0.0.1",
                port=self._relay.port,
                tls="none",
                sender="Tidings <no-reply@tidings.example>",
                connections=3,
                send_timeout=0.5,
            )
        )

    def request(self, *, timeout: float = 5.0) -> SendRequest:
        """A mail in text and HTML."""
        fields = {
            "channel": "email",
            "recipient": RECIPIENT,
            "subject": WORDS.subject,
            "body": WORDS.text,
            "html": WORDS.html,
        }
        return request_for(fields, Content(WORDS.text, WORDS.subject, WORDS.html), timeout=timeout)

    def script(self, *behaviours: Behaviour) -> None:
        """One for each MAIL FROM to come."""
        self._behaviours = deque(behaviours)

    @property
    def taken(self) -> int:
        """Mails handed over to their final dot."""
        return len(self._relay.mails)

    @property
    def silent(self) -> int:
        """Connections left without an answer."""
        return self._relay.silent

    @property
    def connections(self) -> int:
        """Connections open."""
        return self._relay.connections

    def _plan(self, session: Session) -> None:
        """What a kept connection may be to blame for is met by the mail's fresh connection as well."""
        fresh = session not in self._known
        self._known.add(session)
        if fresh and self._again:
            behaviour = self._again.popleft()
        else:
            behaviour = self._behaviours.popleft() if self._behaviours else Behaviour.DELIVERED
            if not fresh and behaviour in _MET_AGAIN:
                self._again.append(behaviour)
        session.plan = dict([_PLANS[behaviour]] if behaviour in _PLANS else [])


RIG: Callable[[], EmailRig] = EmailRig
