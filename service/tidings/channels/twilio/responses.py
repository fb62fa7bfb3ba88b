"""Decides what Twilio's answer means: taken, refused, or nobody knows.

What a 5xx reply leaves open decides whether somebody gets a message twice, and Twilio has no
idempotency key. Twilio says of 500 (20500) that a request to send which is tried again may send
twice, and 502 and 504 come from something between that lost track of the request; all are
`OutcomeUnknown`. Twilio says of 503 with its code 20503 to try again, so that is `Unavailable`, and a
503 with `Retry-After` is turned away at the door, so that is `Throttled`; a bare 503 may be a proxy whose
upstream died on the way, so that is unknown too. A 429 was never processed, says Twilio. A 403 or 404
of Twilio's own, with a code that we don't know, is about this one message: those about the account are
in the table. Without a code it comes from something in between and would come for every message.
https://www.twilio.com/docs/api/errors/20500 and …/20503, …/20429.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException

from tidings.channels.network.http_client import Reply, retry_after
from tidings.channels.twilio.codes import Meaning, meaning
from tidings.delivery.errors import (
    Deferred,
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Sent

PROVIDER: Final = "twilio"
_STATUSES: Final[Mapping[int, Meaning]] = {
    401: Meaning(Misconfigured, "Twilio does not accept the credentials"),
    403: Meaning(Misconfigured, "Twilio does not accept the credentials"),
    404: Meaning(Misconfigured, "there is no such account at Twilio, or no Twilio there"),
    405: Meaning(Misconfigured, "there is no Twilio at the base URL"),
    408: Meaning(Unavailable, "Twilio did not get the request in time"),
    425: Meaning(Unavailable, "Twilio did not take the request yet"),
    429: Meaning(Throttled, "Twilio asks us to slow down"),
}
"""Replies whose error code we don't know, or that have none."""
_OF_ONE_MESSAGE: Final = frozenset({403, 404})
"""Where Twilio names a reason that we don't know, it is not the account's: those we know."""
_NOT_SENT: Final = frozenset({"failed", "undelivered", "canceled"})
_SID: Final = re.compile(r"[A-Za-z0-9]{1,64}")


def refused(
    error: TwilioException, reply: Reply | None, *, sender: str = "", own: bool = False
) -> DeliveryError:
    """Our error for one of the exceptions of Twilio's client."""
    if reply is None:
        return Misconfigured("Twilio's client can't work with the settings", provider=PROVIDER)
    if not isinstance(error, TwilioRestException | TwilioServiceException):
        return illegible(reply)
    code = _number(error.code)
    known = meaning(code, sender=sender, own=own) if code is not None else None
    return _made(
        known or _by_status(reply.status, code, reply.headers),
        str(code or reply.status),
        reply.headers,
    )


def accepted(created: Any, reply: Reply, *, sender: str, own: bool) -> Sent:
    """What a message that Twilio created means.

    Raises:
        OutcomeUnknown: It has no SID, so it is no answer of Twilio's.
        DeliveryError: It was created as failed, by its code.
    """
    sid = created.sid
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        raise illegible(reply)
    code = _number(created.error_code)
    if code is None and created.status not in _NOT_SENT:
        return Sent(provider=PROVIDER, reference=sid, code=str(reply.status))
    known = meaning(code, sender=sender, own=own) if code is not None else None
    raise _made(known or _failed(code), str(code or reply.status), reply.headers)


def illegible(reply: Reply) -> OutcomeUnknown:
    """The error for a reply that Twilio would not give."""
    return OutcomeUnknown(
        "the answer is not one of Twilio's; it may have been sent",
        provider=PROVIDER,
        code=str(reply.status),
    )


def _made(verdict: Meaning, code: str, headers: Mapping[str, str]) -> DeliveryError:
    if issubclass(verdict.error, Throttled):
        wait = retry_after(headers)
        return verdict.error(verdict.said, provider=PROVIDER, code=code, retry_after=wait)
    if issubclass(verdict.error, Rejected):
        return verdict.error(verdict.said, provider=PROVIDER, code=code, suppress=verdict.suppress)
    return verdict.error(verdict.said, provider=PROVIDER, code=code)


def _by_status(status: int, code: int | None, headers: Mapping[str, str]) -> Meaning:
    if status == 503 and retry_after(headers) is not None:
        return Meaning(Throttled, "Twilio is unavailable for now")
    of_its_own = code is not None and code != status
    if status in _STATUSES and not (of_its_own and status in _OF_ONE_MESSAGE):
        return _STATUSES[status]
    if status < 400:
        return Meaning(Misconfigured, "the base URL redirects; set the one it leads to")
    if status >= 500:
        return Meaning(OutcomeUnknown, "Twilio failed on the request; it may have been sent")
    return Meaning(Rejected, f"Twilio refuses the message{_see(code, status)}")


def _failed(code: int | None) -> Meaning:
    if code is None:
        return Meaning(Deferred, "Twilio failed to send the message and did not say why")
    return Meaning(Rejected, f"Twilio could not send the message{_see(code)}")


def _see(code: int | None, status: int | None = None) -> str:
    """Where to read about a code we don't know. Twilio's client gives the status where there is none."""
    if code is None or code == status:
        return " and gives no reason"
    return f"; see https://www.twilio.com/docs/api/errors/{code}"


def _number(code: object) -> int | None:
    """An error code, which a reply may hold as anything at all."""
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) else None
