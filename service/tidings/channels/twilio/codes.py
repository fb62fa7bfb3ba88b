"""Twilio's error codes: the error of ours and the message for each.

From Twilio's dictionary, https://www.twilio.com/docs/api/errors. Three rules classify a code.
`Misconfigured` opens the circuit of the provider, so no code gets it that the recipient or the content of
one notification can cause: one number in a country that is not enabled must not hold up all others. For
the same reason `Unavailable` and `Throttled`, which count against the provider, are only for codes
that concern Twilio, the account or the sender; a phone that is off or a carrier that is congested is
`Deferred`. And a code that leaves open whether the message was sent is never retried: Twilio has no
idempotency key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tidings.delivery.errors import (
    Deferred,
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Suppression,
    Throttled,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """Our error and our message for a code; Twilio's own message may contain the number."""

    error: type[DeliveryError]
    message: str
    suppress: Suppression | None = None
    """Why nothing more should be sent to the recipient."""


_ACCOUNT: Final[Mapping[int, str]] = {
    10001: "the Twilio account is not active",
    20003: "Twilio does not accept the credentials, or the account may not send",
    20005: "the Twilio account is not active; it may have run out of funds",
    20006: "the credentials do not give access to messages",
    20008: "test credentials can't send this",
    20010: "sending is disabled for the Twilio account",
    20011: "Twilio refuses our version of TLS",
    20012: "Twilio refuses our TLS cipher suite",
    20107: "Twilio does not accept the API key's signature",
    20151: "Twilio does not accept the credentials",
    20403: "the Twilio account is suspended or closed",
    20404: "Twilio knows no such account",
    20410: "Twilio has discontinued this API",
    20426: "Twilio refuses our version of TLS",
    21603: "no sender was given: set one, or a messaging service",
    21609: "the status callback URL is not valid",
    21701: "the messaging service does not exist",
    21702: "the messaging service may not send new messages",
    21704: "the messaging service has no sender",
    21705: "the messaging service is not valid",
    30002: "the Twilio account is suspended",
    30037: "sending is disabled for the Twilio account",
    63056: "the WhatsApp business account is of a kind that can't send",
    63120: "Meta has locked the business account; its support can unlock it",
}
_SENDER: Final[Mapping[int, str]] = {
    21212: "the sender is not a valid number",
    21264: "the sender's number is not verified",
    21267: "a trial account can't send from a name",
    21601: "the sender's number can't send messages",
    21606: "the sender can't send messages, from this account or to this destination",
    21607: "a trial account can only send from its sandbox number",
    21616: "the sender matches more than one number of the account; write it in E.164",
    21657: "the sender is not valid",
    21659: "the sender is not a Twilio number, or is a short code of another country",
    21660: "the sender's number belongs to another account",
    21661: "the sender's number can't send text messages",
    21663: "the sender's number is set up for another Twilio region",
    21668: "the sender's kind of number can't send from this Twilio region",
    21709: "the sender's name is not authorised for the messaging service",
    21711: "the sender does not belong to the messaging service",
    21715: "the messaging service's number can send neither texts nor pictures",
    21910: "the sender is not on the recipient's channel",
    30032: "the sender's toll-free number is not verified",
    63001: "WhatsApp does not accept Twilio's credentials for this sender",
    63002: "WhatsApp does not know the sender",
    63007: "Twilio has no WhatsApp sender with this number",
    63008: "the WhatsApp sender is set up wrongly at Twilio",
    63020: "the business manager account at Meta has not accepted Twilio's invitation",
    63022: "the WhatsApp sender's display name certificate is not valid",
    63051: "Meta has locked the WhatsApp sender or its business account",
    63059: "the WhatsApp sender has moved to another business account",
    63109: "the WhatsApp sender has moved to another Twilio account",
    63111: "Meta does not find the WhatsApp sender's number or business account",
    63112: "Meta has disabled the WhatsApp sender or its business account",
    63113: "the WhatsApp sender can't be verified",
}
_REJECTED: Final[Mapping[int, str]] = {
    20001: "Twilio does not know one of the parameters",
    20413: "the request is larger than Twilio allows",
    20422: "one of the parameters is not valid",
    21211: "the recipient's number is not valid",
    21214: "the recipient's number can't be reached",
    21217: "the recipient's number does not appear to be valid",
    21219: "a trial account can only reach numbers that were verified",
    21265: "the recipient's number is a short code, which can't be sent to",
    21266: "the recipient's number is the sender's own",
    21268: "the recipient's number is a premium or information service",
    21401: "the recipient's number is not valid",
    21408: "the account may not send to the recipient's country; enable it in the geo permissions",
    21602: "the message has no text",
    21604: "no recipient was given",
    21605: "the message is too long",
    21608: "a trial account can only send to numbers that were verified",
    21610: "the recipient has opted out",
    21612: "the recipient can't be reached from this sender",
    21614: "the recipient's number is not a mobile number",
    21617: "the message is longer than 1600 characters",
    21618: "the text is filtered by all carriers",
    21619: "the message has no content",
    21635: "the recipient's number is a landline",
    21654: "content variables were given without content",
    21655: "the content template does not exist in this account",
    21656: "the content variables do not fit the template, or one is empty",
    21658: "a parameter is too long",
    21662: "the recipient can't be reached from this sender in this Twilio region",
    30004: "the recipient blocks messages from the sender",
    30005: "the recipient's number is unknown",
    30006: "the recipient's number is a landline, or its carrier can't be reached",
    30007: "the message was filtered",
    30018: "the recipient's carrier wants the sender registered first",
    30019: "the message is larger than the carrier allows",
    30024: "the sender's number is not provisioned at the recipient's carrier",
    30033: "the sender's US campaign is suspended",
    30034: "the sender's number is not registered for the United States",
    30040: "the recipient's carrier wants the sender registered first",
    30041: "the sender is not registered for the recipient's country",
    30042: "the sender's name is too general for the recipient's country",
    30043: "the recipient's carrier takes the message for a misrouted foreign one",
    30044: "the message is longer than a trial account may send",
    30620: "the message does not fit what the sender is registered for",
    30630: "the recipient has opted out",
    63003: "the recipient has no WhatsApp account",
    63005: "WhatsApp did not accept the content",
    63006: "the content can't be formatted for WhatsApp",
    63011: "WhatsApp refuses the request",
    63013: "the message violates WhatsApp's policy",
    63014: "the recipient has blocked the sender",
    63015: "the sandbox only reaches numbers that have joined it",
    63016: "the recipient has not written within 24 hours: only approved content can be sent",
    63021: "the content is not valid for WhatsApp",
    63024: "the recipient can't be reached on WhatsApp",
    63026: "WhatsApp has flagged the content as spam",
    63027: "the content template does not exist in this language",
    63028: "the number of content variables does not fit the template",
    63030: "a parameter is not supported by WhatsApp",
    63031: "the recipient's number is the sender's own",
    63032: "WhatsApp does not let this recipient be sent to",
    63033: "the recipient is blocked",
    63042: "WhatsApp has disabled the content template",
    63049: "Meta chose not to deliver this marketing message",
    63050: "the recipient has opted out of marketing messages",
    63054: "the content template can't be used",
    63055: "the sender's marketing API takes marketing messages only",
    63058: "the WhatsApp business account may not send to the recipient's country",
}
_DEFERRED: Final[Mapping[int, str]] = {
    14107: "too many messages between these two numbers in a short time",
    21703: "the messaging service has no sender for this recipient now",
    30003: "the recipient's phone can't be reached now",
    30017: "the carrier's network is congested",
    30022: "the recipient's carrier limits how often the sender may send",
    30023: "the recipient's carrier takes no more from this sender today",
    30027: "the recipient's carrier takes no more from this sender today",
    30035: "the sender's number is still being registered for the United States",
    30036: "the message waited at Twilio longer than it was valid for",
    30450: "the recipient's number is blocked for half an hour by fraud protection",
    30453: "the recipient's number is blocked for some hours by fraud protection",
    30485: "the recipient's number is blocked for some hours by fraud protection",
    30610: "the recipient's country allows no such messages at this hour",
    30615: "the recipient's country allows no such messages at this hour",
    63029: "the recipient's phone could not load the content template",
    63041: "WhatsApp has paused the content template",
    63053: "WhatsApp has not taken over the content template yet",
}
_UNAVAILABLE: Final[Mapping[int, str]] = {
    20503: "Twilio is unavailable for now",
    21730: "Twilio is under maintenance",
    30021: "Twilio failed to process the message",
    63117: "a service that Twilio needs is unavailable for now",
}
_THROTTLED: Final[Mapping[int, str]] = {
    20429: "too many requests at once",
    21611: "the sender has too many messages queued",
    30001: "the sender's queue is full",
    30454: "the account's limit of messages is reached",
    63017: "the account's rate limit is exceeded",
    63018: "WhatsApp's rate limit is exceeded",
    63038: "the account's daily limit is reached",
    63119: "Meta's rate limit is exceeded",
}
_UNKNOWN: Final[Mapping[int, str]] = {
    20500: "Twilio had an internal error; it may have been sent",
    20504: "Twilio had an internal error; it may have been sent",
    30008: "the carrier did not say why it failed; it may have been delivered",
    30046: "no report came back; it may have been delivered",
    30410: "the carrier did not answer Twilio in time; it may have been delivered",
    30500: "Twilio had an internal error; it may have been sent",
    63009: "WhatsApp had an internal error; it may have been delivered",
    63010: "Twilio had an internal error; it may have been sent",
    63012: "WhatsApp had an internal error; it may have been delivered",
    63023: "WhatsApp had an error; it may have been delivered",
}

_SUPPRESSED: Final[Mapping[int, Suppression]] = {
    **dict.fromkeys(
        (21211, 21217, 21401, 21614, 21635, 30005, 30006, 63003, 63024),
        Suppression.NO_SUCH_RECIPIENT,
    ),
    **dict.fromkeys((21610, 30630, 63014), Suppression.OPTED_OUT),
}
"""Codes that hold for anything else sent to the recipient; opting out of marketing only (63050) does not."""

CODES: Final[Mapping[int, Meaning]] = MappingProxyType(
    {
        code: Meaning(error, message, _SUPPRESSED.get(code))
        for error, group in (
            (Misconfigured, _ACCOUNT),
            (Misconfigured, _SENDER),
            (Rejected, _REJECTED),
            (Deferred, _DEFERRED),
            (Unavailable, _UNAVAILABLE),
            (Throttled, _THROTTLED),
            (OutcomeUnknown, _UNKNOWN),
        )
        for code, message in group.items()
    }
)
"""All known codes. An unknown one is `Rejected` in a 4xx response and on a failed message."""

_LIMITS_OF_A_SENDER: Final = frozenset({21611, 30001, 63018})
"""Don't concern the channel if the notification names the sender itself."""
_WRONG_FOR_SOME_DESTINATIONS: Final = frozenset({21606, 21659})
"""Also returned for a short code or an alphanumeric sender in a country that doesn't support it."""


def meaning(code: int, *, sender: str, own: bool) -> Meaning | None:
    """The meaning of a code for a message from `sender`; None if the code is unknown.

    Args:
        sender: Number or name it was sent from; empty if a messaging service chose.
        own: The notification names this sender, so an invalid one is its fault and not the channel's.
    """
    known = CODES.get(code)
    if known is None:
        return None
    if own and code in _LIMITS_OF_A_SENDER:
        return Meaning(Deferred, known.message)
    number = sender.removeprefix("whatsapp:").startswith("+")
    elsewhere = code in _WRONG_FOR_SOME_DESTINATIONS and not number
    if code in _SENDER and (own or elsewhere):
        return Meaning(Rejected, known.message)
    return known
