"""Twilio client for SMS and WhatsApp: one request a message."""

import base64
import logging
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from aiohttp.abc import AbstractResolver
from twilio.base.exceptions import TwilioException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from tidings.channels.network.http_client import HttpClient, HttpResponse
from tidings.channels.twilio.responses import accepted, refused, unreadable_response
from tidings.channels.twilio.settings import PROVIDER, TwilioSettings
from tidings.delivery.errors import ConfigurationError, DeliveryError, LocalShortage
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, Verdict
from tidings.runtime.shortage import shortage, shortage_text

_MAX_REPLY: Final = 262_144
"""Bytes of a response that are read; Twilio's have about two kilobytes."""
_KEEPALIVE: Final = 15.0
_CHECK_TIMEOUT: Final = 10.0
_NO_ENVIRONMENT: Final = {"TIDINGS": "reads no variable but its own"}
"""Otherwise Twilio's client would read credentials and host from `TWILIO_*`; an empty mapping doesn't prevent it."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TwilioMessage:
    """One message to create."""

    to: str
    sender: str = ""
    """From number or alphanumeric sender ID; empty if the messaging service chooses."""
    own_sender: bool = False
    """The notification names the sender itself."""
    service: str = ""
    """Messaging service that chooses the sender."""
    body: str | None = None
    content_sid: str | None = None
    content_variables: str | None = None
    """JSON object."""

    def fields(self) -> dict[str, str]:
        """Arguments of Twilio's client."""
        named = {
            "to": self.to,
            "from_": self.sender,
            "messaging_service_sid": self.service,
            "body": self.body,
            "content_sid": self.content_sid,
            "content_variables": self.content_variables,
        }
        return {name: value for name, value in named.items() if value}


class TwilioApi:
    """One Twilio account over pooled connections.

    Args:
        resolver: Used instead of the system's resolver.
        tls: Used instead of the system's certificate authorities.

    Raises:
        ConfigurationError: Account or credentials are missing, or the base URL is invalid.
    """

    def __init__(
        self,
        settings: TwilioSettings,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._credentials = _credentials(settings)
        self._base_url = _base_url(settings.base_url)
        self._http = HttpClient(
            PROVIDER, keepalive=_KEEPALIVE, chosen_by_us=True, resolver=resolver, tls=tls
        )

    async def send(self, message: TwilioMessage, timeout: float) -> Sent:
        """Create the message, once.

        Raises:
            DeliveryError: As described in `responses`.
        """
        call = _Call(self._http, timeout)
        fields = message.fields()
        if self._settings.status_callback:
            fields["status_callback"] = self._settings.status_callback
        with _translated(call, sender=message.sender, own=message.own_sender):
            created = await self._account(call).messages.create_async(**fields)
            return accepted(created, call.received, sender=message.sender, own=message.own_sender)

    async def check(self) -> Sequence[Finding]:
        """Whether Twilio answers and accepts the credentials."""
        call = _Call(self._http, _CHECK_TIMEOUT)
        try:
            with _translated(call):
                return [await self._check_account(call)]
        except DeliveryError as error:
            return [self._fault(error)]

    def _fault(self, error: DeliveryError) -> Finding:
        if error.kind in {"misconfigured", "rejected"}:
            remedy = "compare TIDINGS_TWILIO_ACCOUNT_SID and the credentials with Twilio's console"
        else:
            remedy = "check the network and TIDINGS_TWILIO_BASE_URL"
            if (urlsplit(self._base_url).hostname or "").endswith(".twilio.com"):
                remedy += "; see https://status.twilio.com"
        code = f" (code {error.code})" if error.code else ""
        # Cut off "it may have been sent": a check sends nothing.
        return Finding("Twilio", Verdict.FAULT, f"{error.message.partition(';')[0]}{code}", remedy)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def _check_account(self, call: "_Call") -> Finding:
        if self._settings.api_key:
            # Only main keys can read the account; any key that can send can list messages.
            await self._account(call).messages.page_async(page_size=1)
            return Finding("Twilio", Verdict.OK, "reachable, API key accepted")
        account = await self._account(call).fetch_async()
        if not isinstance(account.status, str):
            raise unreadable_response(call.received)
        detail = f"the account is {account.status[:20]}"
        if account.status == "active":
            return Finding("Twilio", Verdict.OK, f"reachable, {detail}")
        return Finding(
            "Twilio", Verdict.FAULT, detail, "reactivate the account in Twilio's console"
        )

    def _account(self, call: "_Call") -> Any:
        username, password = self._credentials
        client = Client(username, password, http_client=call, environment=_NO_ENVIRONMENT)
        client.api.base_url = self._base_url
        return client.api.v2010.accounts(self._settings.account_sid)


class _Call(AsyncHttpClient):  # type: ignore[misc]  # twilio has no types
    """HTTP client for one call of Twilio's client, instead of Twilio's own.

    Twilio's ignores its timeout, and its retries would send a message twice.
    """

    def __init__(self, http: HttpClient, timeout: float) -> None:
        super().__init__(_logger, is_async=True, timeout=timeout)
        self._http = http
        self.response: HttpResponse | None = None

    @property
    def received(self) -> HttpResponse:
        """The response, once there is one."""
        if self.response is None:
            raise RuntimeError("no response yet")
        return self.response

    async def request(
        self,
        method: str,
        uri: str,
        *,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        **_: object,
    ) -> Response:
        """Send one request; the caller's timeout and redirect arguments are ignored."""
        self.response = await self._http.request(
            method,
            f"{uri}?{urlencode(params)}" if params else uri,
            headers={**(headers or {}), **(_basic(*auth) if auth else {})},
            body=urlencode(data, doseq=True).encode() if data else b"",
            timeout=self.timeout,
            max_body=_MAX_REPLY,
        )
        text = self.response.body.decode(errors="replace")
        return Response(self.response.status, text, dict(self.response.headers))


@contextmanager
def _translated(call: _Call, *, sender: str = "", own: bool = False) -> Iterator[None]:
    """Translate exceptions of Twilio's client to ours."""
    try:
        yield
    except DeliveryError:
        raise
    except TwilioException as error:
        # Not chained: Twilio's text quotes the recipient.
        raise refused(error, call.response, sender=sender, own=own) from None
    except Exception as error:
        if call.response is None:
            # Twilio's client opens files when it is first used; nothing was sent yet.
            if (what := shortage(error)) is not None:
                raise LocalShortage(shortage_text(what), provider=PROVIDER) from None
            raise
        # Twilio's client doesn't validate responses. One that it can't parse counts as lost, and
        # must not cause a retry.
        raise unreadable_response(call.response) from None


def _basic(username: str, password: str) -> dict[str, str]:
    token = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {token}"}


def _credentials(settings: TwilioSettings) -> tuple[str, str]:
    if not settings.account_sid:
        raise ConfigurationError("TIDINGS_TWILIO_ACCOUNT_SID is not set")
    secret = settings.api_secret.get_secret_value()
    if settings.api_key or secret:
        if not (settings.api_key and secret):
            raise ConfigurationError(
                "set both TIDINGS_TWILIO_API_KEY and TIDINGS_TWILIO_API_SECRET, or neither"
            )
        return settings.api_key, secret
    token = settings.auth_token.get_secret_value()
    if not token:
        raise ConfigurationError(
            "set TIDINGS_TWILIO_AUTH_TOKEN, or TIDINGS_TWILIO_API_KEY and TIDINGS_TWILIO_API_SECRET"
        )
    return settings.account_sid, token


def _base_url(written: str) -> str:
    url = urlsplit(written)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise ConfigurationError(
            "TIDINGS_TWILIO_BASE_URL is not a base URL; write it like https://api.twilio.com"
        )
    return written
