"""Delivers webhooks: one signed POST to an untrusted server.

By the specification (https://www.standardwebhooks.com) every response but 2xx is a failure to be
retried, for good reason: a 401 may be a secret rotation, a 404 a deployment, a 400 a bug that is fixed
soon, and receivers drop duplicates by `webhook-id`. Not retried are only 410, by which a receiver
unsubscribes, and 301 and 308, permanent redirects; redirects are not followed, as they could lead
anywhere.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final

from aiohttp.abc import AbstractResolver

from tidings.channels.network.http_client import HttpClient, HttpResponse, retry_after
from tidings.channels.webhook.admission import Admission
from tidings.channels.webhook.body import body_of
from tidings.channels.webhook.receivers import Receivers
from tidings.channels.webhook.settings import PROVIDER, WebhookSettings
from tidings.channels.webhook.signature import Signer
from tidings.channels.webhook.spec import SPEC
from tidings.delivery.errors import DeliveryError, Rejected, Suppression, Throttled, Unavailable
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest, Verdict
from tidings.delivery.retry_policy import Guarantee, postponement_delays
from tidings_events import Priority, WebhookNotification

_KEEPALIVE: Final = 4.0
"""Many servers close idle connections after five seconds."""
_RANKS: Final = {Priority.URGENT: 0, Priority.HIGH: 1, Priority.NORMAL: 2, Priority.LOW: 3}
_BODY_WITHIN: Final = 1.0
"""Seconds that the body of a response may take: it only decides whether the connection is kept."""


class WebhookChannel:
    """Posts to the URL of each notification, over connections kept for bursts to the same server.

    Args:
        resolver: Used instead of the system's resolver.
        tls: Used instead of the system's certificate authorities.

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
            postponement_delays((*settings.retry, *settings.postponed)),
        )
        self._admission = Admission(PROVIDER, receivers, settings.concurrency)
        self._agent = f"Tidings/{version('tidings')}"
        self._http = HttpClient(
            PROVIDER,
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
        async with self._admission.admit(
            notification.recipient, len(body), request.release_slot, rank
        ):
            response = await self._http.request(
                "POST",
                notification.recipient,
                headers={
                    **self._signer.headers(request.key, *body),
                    **self._headers(request),
                },
                body=body,
                timeout=until - loop.time(),
                max_body=self._settings.max_response,
                body_within=_BODY_WITHIN,
                repeatable=self._settings.guarantee is not Guarantee.AT_MOST_ONCE,
            )
        return interpret(response)

    def _headers(self, request: SendRequest) -> Mapping[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": self._agent}
        trace = request.attempt.traceparent
        return {**headers, "traceparent": trace} if trace and trace.isascii() else headers

    async def check(self) -> Sequence[Finding]:
        """Check the secrets and the allowed addresses. There is no provider to contact."""
        return [self._secrets(), self._reach()]

    def _secrets(self) -> Finding:
        count = f"signs with {len(self._signer)} secret{'s' * (len(self._signer) > 1)}"
        if not self._signer.odd:
            return Finding("Webhook signature", Verdict.OK, count)
        odd = ", ".join(map(str, self._signer.odd))
        return Finding(
            "Webhook signature",
            Verdict.WARNING,
            f"{count}; secret {odd} is not 24 to 64 bytes long",
            "replace it in TIDINGS_WEBHOOK_SECRET, keeping both until receivers have the new one",
        )

    def _reach(self) -> Finding:
        if not self._settings.allow_private:
            return Finding("Webhook reach", Verdict.OK, "public addresses only")
        return Finding(
            "Webhook reach",
            Verdict.WARNING,
            "webhooks may go to loopback and private addresses",
            "unset TIDINGS_WEBHOOK_ALLOW_PRIVATE unless every producer is trusted with your network",
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()


def interpret(response: HttpResponse) -> Sent:
    """The result of a receiver's response.

    Raises:
        Rejected: 410, 301 and 308.
        Throttled: 429, and any other retryable status with `Retry-After`.
        Unavailable: Any other status but 2xx.
    """
    if 200 <= response.status < 300:
        return Sent(provider=PROVIDER, code=str(response.status))
    raise _failure(response)


def _failure(response: HttpResponse) -> DeliveryError:
    code, wait = str(response.status), retry_after(response.headers)
    match response.status:
        case 410:
            message = "the receiver has unsubscribed (410 Gone)"
            return Rejected(message, provider=PROVIDER, code=code, suppress=Suppression.OPTED_OUT)
        case 301 | 308:
            message = (
                "the receiver redirects permanently, and redirects are not followed; change the URL"
            )
            return Rejected(message, provider=PROVIDER, code=code)
        case 429:
            message = "the receiver limits our rate"
            return Throttled(message, provider=PROVIDER, code=code, retry_after=wait)
        case _ if 300 <= response.status < 400:
            message = "the receiver redirects, and redirects are not followed"
        case _:
            message = f"the receiver answered {code} instead of 2xx"
    if wait is None:
        return Unavailable(message, provider=PROVIDER, code=code)
    message = f"{message}, and sends Retry-After"
    return Throttled(message, provider=PROVIDER, code=code, retry_after=wait)
