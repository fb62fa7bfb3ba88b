"""Delivers webhooks: one signed POST to somebody else's server, which is trusted with nothing.

The specification (https://www.standardwebhooks.com) calls every answer but 2xx a failure to try
again after, and for good reason: a 401 is a secret being replaced, a 404 a deployment under way, a
400 a bug that is fixed within the hour, and receivers drop repeats by `webhook-id`. Only two
answers will be the same next time: 410, by which a receiver ends it, and 301 and 308, by which it says
that the URL is another for good; we follow no redirect, it could lead anywhere.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final

from aiohttp.abc import AbstractResolver

from tidings.channels.network.http_client import HttpClient, Reply, retry_after
from tidings.channels.webhook.admission import Turns
from tidings.channels.webhook.body import body_of
from tidings.channels.webhook.receivers import Receivers
from tidings.channels.webhook.settings import WebhookSettings
from tidings.channels.webhook.signature import Signer
from tidings.channels.webhook.spec import SPEC
from tidings.delivery.errors import DeliveryError, Rejected, Suppression, Throttled, Unavailable
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest, Verdict
from tidings.delivery.retry_policy import Guarantee, deferral_delays
from tidings_events import Priority, WebhookNotification

_PROVIDER: Final = "webhook"
_KEEPALIVE: Final = 4.0
"""Many servers close idle connections after five seconds."""
_RANKS: Final = {Priority.URGENT: 0, Priority.HIGH: 1, Priority.NORMAL: 2, Priority.LOW: 3}
_BODY_WITHIN: Final = 1.0
"""Seconds that the body of an answer may take: nothing depends on it but whether the connection is kept."""


class WebhookChannel:
    """Posts to the URL of each notification, over connections kept for bursts to the same server.

    Args:
        resolver: Looks names up instead of the system's resolver.
        tls: Verifies servers instead of the system's authorities.

    Raises:
        ConfigurationError: The signing secret is missing or malformed.
    """

    name = SPEC.name
    template_parts = SPEC.template_parts

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._signer = Signer(settings.secret.get_secret_value())
        receivers = Receivers(
            settings.room_aside,
            settings.first_tries,
            settings.circuit_failures,
            settings.circuit_probe,
            deferral_delays((*settings.retry, *settings.deferred)),
        )
        self._turns = Turns(_PROVIDER, receivers, settings.concurrency)
        self._agent = f"Tidings/{version('tidings')}"
        self._http = HttpClient(
            _PROVIDER,
            keepalive=_KEEPALIVE,
            public_only=not settings.allow_private,
            resolver=resolver,
            tls=tls,
        )

    async def send(self, request: SendRequest) -> Sent:
        """Deliver, once."""
        notification = request.notification
        if not isinstance(notification, WebhookNotification):
            raise TypeError(f"not a webhook: {type(notification).__name__}")
        loop = asyncio.get_running_loop()
        until = loop.time() + request.timeout
        body = body_of(notification, request.attempt)
        rank = _RANKS[Priority(request.attempt.lane.priority)]
        async with self._turns.turn(notification.recipient, len(body), request.release_slot, rank):
            reply = await self._http.request(
                "POST",
                notification.recipient,
                headers={
                    **self._signer.headers(request.key, *body),
                    **self._headers(request),
                },
                body=body,
                timeout=until - loop.time(),
                max_reply=self._settings.max_response,
                body_within=_BODY_WITHIN,
                repeatable=self._settings.guarantee is not Guarantee.AT_MOST_ONCE,
            )
        return judged(reply)

    def _headers(self, request: SendRequest) -> Mapping[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": self._agent}
        trace = request.attempt.traceparent
        return {**headers, "traceparent": trace} if trace and trace.isascii() else headers

    async def check(self) -> Sequence[Finding]:
        """Whether the secrets are as they should be. There is no provider to ask."""
        return [self._secrets(), self._reach()]

    def _secrets(self) -> Finding:
        count = f"signs with {len(self._signer)} secret{'s' * (len(self._signer) > 1)}"
        if not self._signer.odd:
            return Finding("Webhook signature", Verdict.OK, count)
        odd = ", ".join(map(str, self._signer.odd))
        return Finding(
            "Webhook signature",
            Verdict.WARNING,
            f"{count}; number {odd} is not 24 to 64 bytes long",
            "replace it in TIDINGS_WEBHOOK_SECRET, keeping both until receivers know the new one",
        )

    def _reach(self) -> Finding:
        if not self._settings.allow_private:
            return Finding("Webhook reach", Verdict.OK, "goes to public addresses only")
        return Finding(
            "Webhook reach",
            Verdict.WARNING,
            "webhooks may go to loopback and private addresses",
            "unset TIDINGS_WEBHOOK_ALLOW_PRIVATE unless every producer is trusted with your network",
        )

    async def close(self) -> None:
        """Give back connections."""
        await self._http.close()


def judged(reply: Reply) -> Sent:
    """What a receiver's answer means.

    Raises:
        Rejected: 410, 301 and 308.
        Throttled: 429, and any other that is worth another try and says when, by `Retry-After`.
        Unavailable: Any other but 2xx.
    """
    if 200 <= reply.status < 300:
        return Sent(provider=_PROVIDER, code=str(reply.status))
    raise _failure(reply)


def _failure(reply: Reply) -> DeliveryError:
    code, wait = str(reply.status), retry_after(reply.headers)
    match reply.status:
        case 410:
            said = "the receiver wants no more (gone)"
            return Rejected(said, provider=_PROVIDER, code=code, suppress=Suppression.OPTED_OUT)
        case 301 | 308:
            said = "the receiver has moved for good; redirects are not followed, so change the URL"
            return Rejected(said, provider=_PROVIDER, code=code)
        case 429:
            said = "the receiver asks us to slow down"
            return Throttled(said, provider=_PROVIDER, code=code, retry_after=wait)
        case _ if 300 <= reply.status < 400:
            said = "the receiver redirects elsewhere, and redirects are not followed"
        case _:
            said = f"the receiver answered {code} instead of 2xx"
    if wait is None:
        return Unavailable(said, provider=_PROVIDER, code=code)
    said = f"{said}, and says when to come back"
    return Throttled(said, provider=_PROVIDER, code=code, retry_after=wait)
