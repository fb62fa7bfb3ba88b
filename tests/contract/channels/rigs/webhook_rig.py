"""A receiver of webhooks."""

from typing import Any, ClassVar

from pydantic import SecretStr
from tests.contract.channels.rig import PERSONAL, WORDS, Behaviour, request_for
from tests.contract.channels.rigs.http_provider import (
    HttpRig,
    ReceivedRequest,
    answer,
    client_tls,
)

from tidings.channels.webhook.channel import WebhookChannel
from tidings.channels.webhook.settings import WebhookSettings
from tidings.delivery.ports import Content, SendRequest

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
_PATH = "/hooks/for-wilhelmina"
# An answer that goes on for ever after its status has said all there is to say, so what never ends
# here is what comes before the status.
_ENDLESS = (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" * 50)
_STATUSES = {
    Behaviour.DELIVERED: "204 No Content",
    Behaviour.REJECTED: "410 Gone",
    Behaviour.UNAVAILABLE: "500 Internal Server Error",
    Behaviour.THROTTLED: "429 Too Many Requests",
}


def answers(behaviour: Behaviour, request: ReceivedRequest) -> bytes:
    """What the receiver says; it echoes what it was given."""
    if behaviour is Behaviour.DELIVERED:
        return b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    echo = request.target.encode() + request.body
    when = ["Retry-After: 7"] if behaviour is Behaviour.THROTTLED else []
    return answer(_STATUSES[behaviour], echo, *when)


class WebhookRig(HttpRig):
    """A receiver of webhooks."""

    name: ClassVar[str] = "webhook"
    # No receiver can tell us that our settings are wrong: a 401 is its secret as much as ours.
    speaks: ClassVar[frozenset[Behaviour]] = frozenset(Behaviour) - {Behaviour.MISCONFIGURED}
    faults: ClassVar[frozenset[Behaviour]] = frozenset()
    personal: ClassVar[tuple[str, ...]] = (*PERSONAL, _PATH)

    answers = staticmethod(answers)
    endless = _ENDLESS

    async def channel(self, **settings: Any) -> WebhookChannel:
        """A new channel."""
        section = WebhookSettings(secret=SecretStr(SECRET), allow_private=True, **settings)
        return WebhookChannel(section, tls=client_tls())

    def request(self, *, timeout: float = 5.0) -> SendRequest:
        """A new notification."""
        fields = {
            "channel": "webhook",
            "recipient": self.provider.url + _PATH,
            "event_type": "subscription.renewed",
            "payload": {"text": WORDS.text},
        }
        return request_for(fields, Content(), timeout=timeout)


RIG = WebhookRig
