"""Example messages: what a newcomer copies, and what every later version must still read.

Published examples are promises. Add new ones; never change or remove one.
"""

from typing import Any

_ANNA = "anna@example.org"
_PHONE = "+14155550123"
_HOOK = "https://example.org/hooks/invoices"


def _email(number: int, **fields: Any) -> dict[str, Any]:
    return _notification(100 + number, "email", _ANNA, fields)


def _sms(number: int, **fields: Any) -> dict[str, Any]:
    return _notification(200 + number, "sms", _PHONE, fields)


def _whatsapp(number: int, **fields: Any) -> dict[str, Any]:
    return _notification(300 + number, "whatsapp", _PHONE, fields)


def _webhook(number: int, **fields: Any) -> dict[str, Any]:
    return _notification(400 + number, "webhook", _HOOK, fields)


def _notification(
    number: int, channel: str, recipient: str, fields: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": f"0193a5c4-2c00-7000-8000-{number:012}",
        "version": 1,
        "channel": channel,
        "recipient": recipient,
        **fields,
    }


_COMMON: dict[str, Any] = {
    "priority": "high",
    "category": "receipt",
    "user_id": "user-4711",
    "entity": {"type": "order", "id": "10042"},
    "metadata": {"campaign": "spring-2026", "variant": 2, "trial": False},
    "max_retries": 3,
}
_SCHEDULE: dict[str, Any] = {
    "scheduled_at": "2026-12-24T18:00:00+01:00",
    "expires_at": "2026-12-24T20:00:00+01:00",
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "email-minimal": _email(1, subject="Welcome", body="Hello Anna, good to have you here."),
    "email-full": _email(
        2,
        **_COMMON,
        idempotency_key="order-10042-receipt-email",
        locale="en-GB",
        from_address="billing@example.org",
        reply_to="help@example.org",
        cc=["accounts@example.org"],
        bcc=["archive@example.org"],
        subject="Your receipt for order 10042",
        body="Hello Anna,\n\nthank you for your order. The receipt is attached.\n",
        html="<p>Hello Anna,</p><p>thank you for your order. The receipt is attached.</p>"
        '<p><img src="cid:logo" alt=""></p>',
        headers={"List-Unsubscribe": "<https://example.org/unsubscribe>", "X-Shop": "books"},
        attachments=[
            {
                "filename": "receipt.txt",
                "content_type": "text/plain",
                "content": "T3JkZXIgMTAwNDI6IDEyLjUwIEVVUgo=",
            },
            {
                "filename": "logo.gif",
                "content_type": "image/gif",
                "content": "R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=",
                "content_id": "logo",
            },
        ],
    ),
    "email-template": _email(
        3,
        template="receipt",
        locale="pt-BR",
        data={"name": "Anna", "order": {"id": 10042, "total": "12.50", "currency": "EUR"}},
    ),
    "email-scheduled": _email(
        4, **_SCHEDULE, category="marketing", subject="Tonight", body="The doors open at eight."
    ),
    "email-international": {
        **_email(5, subject="Grüße aus Köln", body="Schöne Grüße! 🎉"),
        "recipient": "jörg@müller.example",
    },
    "sms-minimal": _sms(1, body="Your parcel arrives today."),
    "sms-full": _sms(
        2,
        **_COMMON,
        idempotency_key="order-10042-receipt-sms",
        locale="en",
        sender="Acme",
        body="Thank you for order 10042.",
    ),
    "sms-template": _sms(
        3,
        priority="urgent",
        category="otp",
        expires_at="2026-12-24T18:05:00+01:00",
        template="otp",
        data={"code": "493027"},
    ),
    "sms-scheduled": _sms(4, **_SCHEDULE, body="The doors open at eight."),
    "whatsapp-minimal": _whatsapp(1, body="Your table is booked for eight o'clock."),
    "whatsapp-full": _whatsapp(
        2,
        **_COMMON,
        idempotency_key="order-10042-receipt-whatsapp",
        locale="en",
        sender="+14155550100",
        content_sid="HX0123456789abcdef0123456789abcdef",
        content_variables={"1": "Anna", "2": "10042"},
    ),
    "whatsapp-template": _whatsapp(3, template="receipt", data={"name": "Anna", "order": 10042}),
    "whatsapp-scheduled": _whatsapp(4, **_SCHEDULE, body="The doors open at eight."),
    "webhook-minimal": _webhook(1, event_type="invoice.paid", payload={"invoice": "10042"}),
    "webhook-full": _webhook(
        2,
        **_COMMON,
        idempotency_key="invoice-10042-paid",
        event_type="invoice.paid",
        payload={
            "invoice": "10042",
            "amount": {"value": "12.50", "currency": "EUR"},
            "lines": [{"sku": "B-1", "quantity": 2}, {"sku": "B-7", "quantity": 1}],
            "note": None,
        },
    ),
    "webhook-scheduled": _webhook(
        3, **_SCHEDULE, event_type="sale.started", payload={"sale": "winter"}
    ),
}


def examples_of(channel: str) -> dict[str, dict[str, Any]]:
    """A channel's examples by name, the shortest first."""
    return {name: body for name, body in EXAMPLES.items() if body["channel"] == channel}
