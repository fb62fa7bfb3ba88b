"""Stands in for Twilio: takes texts by its REST API, keeps them, and misbehaves when asked to.

It speaks the Messages resource (https://www.twilio.com/docs/messaging/api/message-resource) far
enough for Twilio's own client. The last four digits of a recipient's number may say what to do, see
`NUMBERS` and `CODES`.
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Self

from aiohttp import web

from tidings_local.sinks.box import Box
from tidings_local.sinks.script import Behaviour, Scripts
from tidings_local.sinks.twilio_replies import (
    API,
    ReceivedText,
    error,
    fault,
    report,
    resource,
)
from tidings_local.sinks.web import LoopbackSite, misbehave

NUMBERS: Final = {
    "0503": "fail-once",
    "0500": "fail",
    "0429": "throttle",
    "0410": "reject-once",
    "0408": "hang",
    "0444": "drop",
}
"""What the last four digits of a number mean."""

CODES: Final = {
    "1211": (400, 21211, "Invalid 'To' Phone Number"),
    "1408": (400, 21408, "Permission to send an SMS has not been enabled for the region"),
    "1610": (400, 21610, "Attempt to send to unsubscribed recipient"),
    "1612": (400, 21612, "Message cannot be sent with the current combination of 'To' and 'From'"),
    "1614": (400, 21614, "'To' number is not a valid mobile number"),
    "0003": (401, 20003, "Authenticate"),
}
"""Numbers that end in the last four digits of an error code of Twilio's are refused with it."""

_FAILURES: Final = {
    Behaviour.FAIL: (503, 20503, "Service is unavailable"),
    Behaviour.GREYLIST: (503, 20503, "Service is unavailable"),
    Behaviour.REJECT: CODES["1610"],
    Behaviour.THROTTLE: (429, 20429, "Too many requests"),
}


class SmsSink:
    """A server on loopback that speaks Twilio's API. Use it with `async with`."""

    def __init__(
        self, *, port: int = 0, account_sid: str = f"AC{'0' * 32}", auth_token: str | None = None
    ) -> None:
        """Listens to nothing yet.

        Args:
            port: Where to listen; 0 for any.
            account_sid: The only account it knows.
            auth_token: The account's password; made up where None.
        """
        self.texts: Box[ReceivedText] = Box()
        self.scripts = Scripts()
        self.account_sid = account_sid
        self.auth_token = auth_token or secrets.token_hex(16)
        self._callbacks: set[asyncio.Task[None]] = set()
        app = web.Application(client_max_size=1_000_000)
        app.router.add_post(f"{API}/{{account}}/Messages.json", self._create)
        app.router.add_get(f"{API}/{{account}}/Messages.json", self._list)
        app.router.add_get(f"{API}/{{account}}/Messages/{{sid}}.json", self._fetch)
        app.router.add_get(f"{API}/{{account}}.json", self._account)
        app.router.add_route("*", "/{path:.*}", self._not_found)
        self._site = LoopbackSite(app, port)

    @property
    def url(self) -> str:
        """What to use instead of `https://api.twilio.com`."""
        return self._site.url

    @property
    def port(self) -> int:
        return self._site.port

    async def __aenter__(self) -> Self:
        await self._site.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._callbacks:
            task.cancel()
        await asyncio.gather(*self._callbacks, return_exceptions=True)
        await self._site.__aexit__()

    async def _create(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if refusal := self._refusal(request) or fault(form):
            return refusal
        digits = form["To"][-4:]
        if digits in CODES:
            return error(*CODES[digits])
        behaviour = self.scripts.next(form["To"], NUMBERS.get(digits, ""))
        if behaviour in _FAILURES:
            return error(*_FAILURES[behaviour])
        text = self._keep(form)
        if behaviour is not Behaviour.ACCEPT:
            return await misbehave(request, behaviour)
        self._report(text)
        return web.json_response(
            resource(text, "accepted" if text.service else "queued"), status=201
        )

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refusal(request):
            return refusal
        size = int(request.query.get("PageSize", "50"))
        newest = list(self.texts)[::-1][:size]
        return web.json_response(
            {
                "messages": [resource(text, "delivered") for text in newest],
                "page": 0,
                "page_size": size,
                "first_page_uri": request.path_qs,
                "uri": request.path_qs,
                "next_page_uri": None,
                "previous_page_uri": None,
            }
        )

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refusal(request):
            return refusal
        for text in self.texts:
            if text.sid == request.match_info["sid"]:
                return web.json_response(resource(text, "delivered"))
        return await self._not_found(request)

    async def _account(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refusal(request):
            return refusal
        return web.json_response(
            {
                "sid": self.account_sid,
                "friendly_name": "Local sink",
                "status": "active",
                "type": "Full",
            }
        )

    async def _not_found(self, request: web.Request) -> web.StreamResponse:
        return error(404, 20404, f"The requested resource {request.path} was not found")

    def _refusal(self, request: web.Request) -> web.Response | None:
        """The reply to a request without the account's credentials; None for its owner."""
        expected = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode())
        given = request.headers.get("Authorization", "").removeprefix("Basic ").encode()
        if not hmac.compare_digest(given, expected):
            return error(401, 20003, "Authenticate")
        if request.match_info["account"] != self.account_sid:
            return error(404, 20404, f"The requested resource {request.path} was not found")
        return None

    def _keep(self, form: Mapping[str, str]) -> ReceivedText:
        text = ReceivedText(
            at=datetime.now(UTC),
            sid=f"SM{secrets.token_hex(16)}",
            account=self.account_sid,
            to=form["To"],
            sender=form.get("From", ""),
            service=form.get("MessagingServiceSid", ""),
            body=form.get("Body", ""),
            content_sid=form.get("ContentSid", ""),
            content_variables=form.get("ContentVariables", ""),
            status_callback=form.get("StatusCallback", ""),
        )
        self.texts.add(text)
        return text

    def _report(self, text: ReceivedText) -> None:
        if text.status_callback:
            task = asyncio.create_task(report(text, self.auth_token))
            self._callbacks.add(task)
            task.add_done_callback(self._callbacks.discard)
