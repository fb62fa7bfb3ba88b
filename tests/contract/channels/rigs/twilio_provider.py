"""A server that speaks Twilio's API as far as sending and checking need it."""

import json
from typing import Any, ClassVar
from urllib.parse import parse_qs

from tests.contract.channels.rig import PERSONAL, WORDS, Behaviour, request_for
from tests.contract.channels.rigs.http_provider import HttpRig, ReceivedRequest, answer

from tidings.channels.twilio.settings import TwilioSettings
from tidings.delivery.ports import Content, SendRequest

ACCOUNT = "AC00000000000000000000000000000000"
MESSAGE = "SM00000000000000000000000000000001"
RECIPIENT = "+14155552671"
SENDER = "+14155550100"
_ENDLESS = (
    b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n" + b'{"body": "',
    b"a" * 65_536,
)


def _refusal(status: str, code: int, request: ReceivedRequest, *headers: str) -> bytes:
    reply = {
        "code": code,
        "message": f"no: {parse_qs(request.body.decode())}",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": int(status[:3]),
    }
    return answer(status, json.dumps(reply).encode(), "Content-Type: application/json", *headers)


def _created(request: ReceivedRequest) -> bytes:
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    reply = {"sid": MESSAGE, "status": "queued", "error_code": None, "body": form.get("Body", "")}
    return answer("201 Created", json.dumps(reply).encode(), "Content-Type: application/json")


def _account(_: ReceivedRequest) -> bytes:
    reply = {"sid": ACCOUNT, "status": "active", "type": "Full", "messages": []}
    return answer("200 OK", json.dumps(reply).encode(), "Content-Type: application/json")


def answers(behaviour: Behaviour, request: ReceivedRequest) -> bytes:
    """What Twilio says."""
    match behaviour:
        case Behaviour.REJECTED:
            return _refusal("400 Bad Request", 21211, request)
        case Behaviour.UNAVAILABLE:
            return _refusal("503 Service Unavailable", 20503, request)
        case Behaviour.THROTTLED:
            return _refusal("429 Too Many Requests", 20429, request, "Retry-After: 7")
        case Behaviour.MISCONFIGURED:
            return _refusal("401 Unauthorized", 20003, request)
        case _:
            return _created(request) if request.method == "POST" else _account(request)


class TwilioRig(HttpRig):
    """What the rigs of both of Twilio's channels share."""

    name: ClassVar[str]
    faults: ClassVar[frozenset[Behaviour]] = frozenset(
        {Behaviour.MISCONFIGURED, Behaviour.UNAVAILABLE, Behaviour.GONE, Behaviour.GARBAGE}
    )
    personal: ClassVar[tuple[str, ...]] = (*PERSONAL, RECIPIENT, RECIPIENT.removeprefix("+"))

    answers = staticmethod(answers)
    endless = _ENDLESS

    def account(self, **settings: Any) -> TwilioSettings:
        """Settings that lead to this provider."""
        return TwilioSettings(
            account_sid=ACCOUNT,
            **{"auth_token": "token", "base_url": self.provider.url, **settings},
        )

    def request(self, *, timeout: float = 5.0) -> SendRequest:
        """A new notification."""
        fields = {"channel": self.name, "recipient": RECIPIENT, "body": WORDS.text}
        return request_for(fields, Content(text=WORDS.text), timeout=timeout)
