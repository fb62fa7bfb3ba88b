"""Says what Twilio says: the shapes of its answers, its errors and its reports."""

import base64
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

import aiohttp
from aiohttp import web

API: Final = "/2010-04-01/Accounts"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReceivedText:
    """One message as it came."""

    at: datetime
    sid: str
    account: str
    to: str
    """A number, with `whatsapp:` before it where it came by WhatsApp."""
    sender: str
    """A number or name; empty where the messaging service chooses."""
    service: str
    body: str
    content_sid: str
    content_variables: str
    status_callback: str

    @property
    def segments(self) -> int:
        """Roughly how many text messages this is, as Twilio counts: 160 plain characters, else 70."""
        plain = self.body.isascii()
        single, several = (160, 153) if plain else (70, 67)
        length = len(self.body)
        return 1 if length <= single else -(-length // several)


def fault(form: Mapping[str, str]) -> web.Response | None:
    """What Twilio finds wrong with a message; None where it is fine."""
    if not form.get("To"):
        return error(400, 21604, "A 'To' phone number is required.")
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return error(400, 21603, "A 'From' phone number is required.")
    if not form.get("Body") and not form.get("ContentSid"):
        return error(400, 21602, "Message body is required.")
    if len(form.get("Body", "")) > 1600:
        return error(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    return None


def error(status: int, code: int, message: str) -> web.Response:
    """A refusal, as https://www.twilio.com/docs/usage/twilios-response describes it."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.json_response(body, status=status, headers=headers)


def resource(text: ReceivedText, status: str) -> dict[str, Any]:
    """A message, as the Messages resource shows it."""
    uri = f"{API}/{text.account}/Messages/{text.sid}"
    date = format_datetime(text.at)
    return {
        "account_sid": text.account,
        "api_version": "2010-04-01",
        "body": text.body,
        "date_created": date,
        "date_sent": None,
        "date_updated": date,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": text.sender or None,
        "messaging_service_sid": text.service or None,
        "num_media": "0",
        "num_segments": str(text.segments),
        "price": None,
        "price_unit": None,
        "sid": text.sid,
        "status": status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "tags": None,
        "to": text.to,
        "uri": f"{uri}.json",
    }


def signature(auth_token: str, url: str, form: Mapping[str, str]) -> str:
    """What Twilio puts into `X-Twilio-Signature`: https://www.twilio.com/docs/usage/security."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(auth_token.encode(), signed.encode(), "sha1")).decode()


async def report(text: ReceivedText, auth_token: str) -> None:
    """Replies with the result, as Twilio does."""
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            for status in ("sent", "delivered"):
                form = {
                    "AccountSid": text.account,
                    "ApiVersion": "2010-04-01",
                    "From": text.sender,
                    "MessageSid": text.sid,
                    "MessageStatus": status,
                    "SmsSid": text.sid,
                    "SmsStatus": status,
                    "To": text.to,
                }
                signed = {"X-Twilio-Signature": signature(auth_token, text.status_callback, form)}
                async with http.post(text.status_callback, data=form, headers=signed):
                    pass
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        _logger.warning("the status callback %s failed: %s", text.status_callback, error)
