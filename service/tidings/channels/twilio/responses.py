"""Interprets Twilio's responses: accepted, refused, or outcome unknown.

Twilio has no idempotency key, so a 5xx response must not cause a second message. By Twilio's docs, a
request that is repeated after 500 (20500) may send twice, and 502 and 504 come from a proxy that lost
the request; all are `OutcomeUnknown`. Twilio's docs say to retry a 503 with code 20503, so that is
`Unavailable`; a 503 with `Retry-After` was refused before processing, so that is `Throttled`; a bare 503 may
come from a proxy whose upstream failed halfway, so that is unknown too. A 429 was never processed, by
Twilio's docs. A 403 or 404 with an unknown code of Twilio's concerns this one message: codes that concern
the account are in the table. Without a code it comes from a proxy and would affect every message.
https://www.twilio.com/docs/api/errors/20500 and …/20503, …/20429.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException

from tidings.channels.network.http_client import HttpResponse, retry_after
from tidings.channels.twilio.codes import Meaning, meaning
from tidings.channels.twilio.settings import PROVIDER
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

_STATUSES: Final[Mapping[int, Meaning]] = {
    401: Meaning(Misconfigured, "Twilio does not accept the credentials"),
    403: Meaning(Misconfigured, "Twilio does not accept the credentials"),
    404: Meaning(
        Misconfigured, "Twilio does not know the account, or the base URL is not Twilio's"
    ),
    405: Meaning(Misconfigured, "the base URL is not Twilio's"),
    408: Meaning(Unavailable, "Twilio did not receive the request in time"),
    425: Meaning(Unavailable, "Twilio did not process the request yet"),
    429: Meaning(Throttled, "Twilio limits our rate"),
}
"""Responses whose error code is unknown, or that have none."""
_OF_ONE_MESSAGE: Final = frozenset({403, 404})
"""With an unknown error code, these concern the message: the account's codes are known."""
_NOT_SENT: Final = frozenset({"failed", "undelivered", "canceled"})
_SID: Final = re.compile(r"[A-Za-z0-9]{1,64}")


def refused(
    error: TwilioException, response: HttpResponse | None, *, sender: str = "", own: bool = False
) -> DeliveryError:
    """Our error for an exception of Twilio's client."""
    if response is None:
        return Misconfigured("Twilio's client rejects the settings", provider=PROVIDER)
    if not isinstance(error, TwilioRestException | TwilioServiceException):
        return unreadable_response(response)
    code = _number(error.code)
    known = meaning(code, sender=sender, own=own) if code is not None else None
    return _error(
        known or _by_status(response.status, code, response.headers),
        str(code or response.status),
        response.headers,
    )


def accepted(created: Any, response: HttpResponse, *, sender: str, own: bool) -> Sent:
    """The result of a message that Twilio created.

    Raises:
        OutcomeUnknown: It has no SID, so the response is not Twilio's.
        DeliveryError: It was created as failed, by its code.
    """
    sid = created.sid
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        raise unreadable_response(response)
    code = _number(created.error_code)
    if code is None and created.status not in _NOT_SENT:
        return Sent(provider=PROVIDER, reference=sid, code=str(response.status))
    known = meaning(code, sender=sender, own=own) if code is not None else None
    raise _error(known or _failed(code), str(code or response.status), response.headers)


def unreadable_response(response: HttpResponse) -> OutcomeUnknown:
    """The error for a response that is not Twilio's."""
    return OutcomeUnknown(
        "the response is not Twilio's; the message may have been sent",
        provider=PROVIDER,
        code=str(response.status),
    )


def _error(meaning: Meaning, code: str, headers: Mapping[str, str]) -> DeliveryError:
    if issubclass(meaning.error, Throttled):
        wait = retry_after(headers)
        return meaning.error(meaning.message, provider=PROVIDER, code=code, retry_after=wait)
    if issubclass(meaning.error, Rejected):
        return meaning.error(
            meaning.message, provider=PROVIDER, code=code, suppress=meaning.suppress
        )
    return meaning.error(meaning.message, provider=PROVIDER, code=code)


def _by_status(status: int, code: int | None, headers: Mapping[str, str]) -> Meaning:
    if status == 503 and retry_after(headers) is not None:
        return Meaning(Throttled, "Twilio is unavailable for now")
    of_its_own = code is not None and code != status
    if status in _STATUSES and not (of_its_own and status in _OF_ONE_MESSAGE):
        return _STATUSES[status]
    if status < 400:
        return Meaning(Misconfigured, "the base URL redirects; set the URL that it redirects to")
    if status >= 500:
        return Meaning(OutcomeUnknown, "Twilio had an error; the message may have been sent")
    return Meaning(Rejected, f"Twilio refuses the message{_see(code, status)}")


def _failed(code: int | None) -> Meaning:
    if code is None:
        return Meaning(Deferred, "Twilio failed to send the message and gave no reason")
    return Meaning(Rejected, f"Twilio could not send the message{_see(code)}")


def _see(code: int | None, status: int | None = None) -> str:
    """A link for an unknown code. Twilio's client gives the HTTP status as code if there is none."""
    if code is None or code == status:
        return " and gives no reason"
    return f"; see https://www.twilio.com/docs/api/errors/{code}"


def _number(code: object) -> int | None:
    """An error code; a response may hold any type."""
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) else None
