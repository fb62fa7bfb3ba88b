"""What Twilio's error codes mean for a message: each with the error of ours that it becomes.

From Twilio's own dictionary, https://www.twilio.com/docs/api/errors. Two rules decide where a code
belongs. `Misconfigured` rests the whole channel, so no code is that which the recipient or the words
of one notification can bring about: one number in a country that is not enabled must not hold up
all others. And no code is worth another try which leaves open whether anything was sent: Twilio has no
idempotency key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tidings.delivery.errors import (
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code is to us, and what is told of it: Twilio's own words repeat the number."""

    error: type[DeliveryError]
    said: str


_ACCOUNT: Final[Mapping[int, str]] = {
    10001: "the Twilio account is not active",
    20003: "Twilio does not accept the credentials, or the account may not send",
    20005: "the Twilio account is not active; it may have run out of funds",
    20006: "the credentials do not give access to messages",
    20008: "test credentials can't send this",
    20010: "sending is disabled for the Twilio account",
    20011: "Twilio refuses our version of TLS",
    20107: "Twilio does not accept the API key's signature",
    20151: "Twilio does not accept the credentials",
    20403: "the Twilio account is suspended or closed",
    20404: "Twilio knows no such account",
    20410: "Twilio has discontinued this API",
    21603: "no sender was given: set one, or a messaging service",
    21609: "the status callback URL is not valid",
    21701: "the messaging service does not exist",
    21702: "the messaging service may not send new messages",
    21704: "the messaging service has no sender",
    21705: "the messaging service is not valid",
    30002: "the Twilio account is suspended",
    63001: "WhatsApp does not accept Twilio's credentials for this sender",
    63008: "the WhatsApp sender is set up wrongly at Twilio",
    63020: "the business manager account at Meta has not accepted Twilio's invitation",
    63022: "the WhatsApp sender's display name certificate is not valid",
    63051: "Meta has locked the WhatsApp business account",
    63112: "Meta has disabled the WhatsApp sender or its business account",
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
    21709: "the sender's name is not authorised for the messaging service",
    21711: "the sender does not belong to the messaging service",
    21910: "the sender is not on the recipient's channel",
    30032: "the sender's toll-free number is not verified",
    63002: "WhatsApp does not know the sender",
    63007: "Twilio has no WhatsApp sender with this number",
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
    30004: "the recipient blocks messages from the sender",
    30005: "the recipient's number is unknown",
    30006: "the recipient's number is a landline, or its carrier can't be reached",
    30007: "the message was filtered",
    30018: "the recipient's carrier wants the sender registered first",
    30019: "the message is larger than the carrier allows",
    30024: "the sender's number is not provisioned at the recipient's carrier",
    30033: "the sender's US campaign is suspended",
    30034: "the sender's number is not registered for the United States",
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
}
_UNAVAILABLE: Final[Mapping[int, str]] = {
    20503: "Twilio is unavailable for now",
    21703: "the messaging service has no sender available for this now",
    21730: "Twilio is under maintenance",
    30003: "the recipient's phone can't be reached now",
    30017: "the carrier's network is congested",
    30021: "Twilio failed to process the message",
    30035: "the sender's number is still being registered for the United States",
    30450: "the recipient's number is blocked for half an hour by fraud protection",
    63041: "WhatsApp has paused the content template",
}
_THROTTLED: Final[Mapping[int, str]] = {
    14107: "too many messages between these two numbers in a short time",
    20429: "too many requests at once",
    21611: "the sender has too many messages queued",
    30001: "the sender's queue is full",
    30022: "the carrier's rate limit is exceeded",
    30023: "the carrier's daily limit is reached",
    30027: "the carrier's daily limit is reached",
    63017: "the account's rate limit is exceeded",
    63018: "WhatsApp's rate limit is exceeded",
    63038: "the account's daily limit is reached",
}
_UNKNOWN: Final[Mapping[int, str]] = {
    20500: "Twilio had an internal error; it may have been sent",
    30008: "the carrier did not say why it failed; it may have been delivered",
    30410: "the carrier did not answer Twilio in time; it may have been delivered",
    63009: "WhatsApp had an internal error; it may have been delivered",
    63010: "Twilio had an internal error; it may have been sent",
    63012: "WhatsApp had an internal error; it may have been delivered",
    63023: "WhatsApp had an error; it may have been delivered",
}

CODES: Final[Mapping[int, Meaning]] = MappingProxyType(
    {
        code: Meaning(error, said)
        for error, group in (
            (Misconfigured, _ACCOUNT),
            (Misconfigured, _SENDER),
            (Rejected, _REJECTED),
            (Unavailable, _UNAVAILABLE),
            (Throttled, _THROTTLED),
            (OutcomeUnknown, _UNKNOWN),
        )
        for code, said in group.items()
    }
)
"""Every code we know. One we don't is `Rejected` on a 4xx reply and on a failed message."""

_WRONG_FOR_SOME_DESTINATIONS: Final = frozenset({21606, 21659})
"""Also what a short code or a name gets in a country where it can't be used."""


def meaning(code: int, *, sender: str, own: bool) -> Meaning | None:
    """What a code means for a message from `sender`; None where we don't know it.

    Args:
        sender: Number or name it was sent from; empty where a messaging service chose.
        own: The notification named this sender, so a wrong one is its fault and not the channel's.
    """
    known = CODES.get(code)
    if known is None or code not in _SENDER:
        return known
    number = sender.removeprefix("whatsapp:").startswith("+")
    elsewhere = code in _WRONG_FOR_SOME_DESTINATIONS and not number
    return Meaning(Rejected, known.said) if own or elsewhere else known
