"""Constructing models: the rules a producer meets, and the JSON that comes out."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tidings_events import (
    MAX_BODY_BYTES,
    Attachment,
    EmailNotification,
    Entity,
    InvalidNotification,
    Notification,
    SmsNotification,
    WebhookNotification,
    WhatsAppNotification,
    describe,
    parse,
)

NOW = datetime.now(UTC)
PHONE = "+14155550123"
SID = "HX0123456789abcdef0123456789abcdef"


def sms(**fields: Any) -> SmsNotification:
    return SmsNotification(**{"recipient": PHONE, "body": "Hello", **fields})


def email(**fields: Any) -> EmailNotification:
    return EmailNotification(
        **{"recipient": "anna@example.org", "subject": "Hello", "body": "Hello", **fields}
    )


def whatsapp(**fields: Any) -> WhatsAppNotification:
    return WhatsAppNotification(recipient=PHONE, **fields)


def webhook(**fields: Any) -> WebhookNotification:
    return WebhookNotification(
        **{
            "recipient": "https://example.org/hooks",
            "event_type": "invoice.paid",
            "payload": {"invoice": 1},
            **fields,
        }
    )


FULL = [
    email(
        html="<p>Hello</p>",
        cc=["bob@example.org"],
        bcc=["carol@example.org"],
        reply_to="desk@example.org",
        from_address="noreply@example.org",
        headers={"List-Unsubscribe": "<https://example.org/u>", "X-Campaign": "spring"},
        attachments=[
            Attachment(filename="a.bin", content=bytes(range(256)), content_id="logo"),
            Attachment(filename="b.pdf", content="aGVsbG8=", content_type="application/pdf"),
        ],
        user_id="4711",
        entity=Entity(type="order", id="10042"),
        category="receipt",
        tenant="acme",
        locale="pt-BR",
        data={"a": [None, 1, 1.5, True, {"b": "ü"}]},
        metadata={"campaign": "spring", "n": 1, "x": 1.5, "y": True},
        idempotency_key="key",
        max_retries=3,
        scheduled_at=NOW + timedelta(hours=1),
        expires_at=NOW + timedelta(hours=2),
        priority="urgent",
    ),
    email(),
    EmailNotification(recipient="anna@example.org", template="receipt", data={"name": "Anna"}),
    sms(sender="Acme"),
    SmsNotification(recipient=PHONE, template="otp", data={"code": "123456"}),
    whatsapp(body="Hello"),
    whatsapp(template="otp"),
    whatsapp(content_sid=SID, content_variables={"1": "Anna"}, sender=PHONE),
    webhook(),
    webhook(payload={}),
]


@pytest.mark.parametrize("notification", FULL, ids=lambda n: f"{n.channel}-{len(n.to_json())}")
def test_what_is_written_reads_back_equal(notification: Notification) -> None:
    again = parse(notification.to_json())
    assert again == notification
    assert again.to_json() == notification.to_json()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner),
    max_leaves=12,
)


@given(data=st.dictionaries(st.text("abc", max_size=3), json_values))
def test_any_storable_json_survives_the_round_trip(data: dict[str, Any]) -> None:
    notification = webhook(payload=data, data=data)
    again = parse(notification.to_json())
    assert isinstance(again, WebhookNotification)
    assert again.payload == data
    assert again.data == data


def test_the_json_is_compact_and_leaves_out_what_says_nothing() -> None:
    notification = sms()
    assert json.loads(notification.to_json()) == {
        "id": str(notification.id),
        "version": 1,
        "channel": "sms",
        "recipient": PHONE,
        "priority": "normal",
        "category": "transactional",
        "body": "Hello",
    }
    assert b": " not in notification.to_json()


def test_ids_are_uuid7_and_sort_by_age() -> None:
    ids = [sms().id for _ in range(50)]
    assert {each.version for each in ids} == {7}
    assert ids == sorted(ids)


def test_a_notification_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        sms().body = "other"  # type: ignore[misc]  # that is the point


def test_one_that_is_too_large_is_refused_when_written_out() -> None:
    notification = webhook(payload={"a": "x" * MAX_BODY_BYTES})
    with pytest.raises(InvalidNotification, match="at most 10,485,760 are allowed"):
        notification.to_json()


def test_an_error_does_not_repeat_what_was_written() -> None:
    with pytest.raises(ValidationError) as caught:
        email(body="secret\0", recipient="nobody")
    assert "secret" not in str(caught.value)


def test_an_error_of_writing_can_be_told_like_one_of_reading() -> None:
    with pytest.raises(ValidationError) as caught:
        SmsNotification(recipient="+1555", bdy="Hello")  # type: ignore[call-arg]  # that is the point
    assert describe(caught.value) == (
        'recipient: "+1555" is not a valid phone number; write it as E.164, e.g. +14155550123',
        "bdy: is not a field of SmsNotification; did you mean `body`?",
    )


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", NOW, 1j])
def test_what_is_not_json_is_refused_by_its_type(value: object) -> None:
    with pytest.raises(ValidationError, match=f"holds a {type(value).__name__}, which is not JSON"):
        webhook(payload={"a": [value]})


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValidationError, match="surrogate"):
        webhook(payload={"a": "\ud800"})


def test_half_a_surrogate_pair_is_refused_in_words_too() -> None:
    with pytest.raises(ValidationError) as caught:
        EmailNotification(recipient="ada@example.com", subject="Hello", body="\ud800")

    assert describe(caught.value) == ("body: contains half of a surrogate pair; remove it",)


def test_endless_nesting_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(ValidationError, match="nested more than 64 deep"):
        webhook(payload=endless)


class TestTimes:
    def test_a_schedule_in_the_past_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="scheduled_at has passed"):
            sms(scheduled_at=NOW - timedelta(minutes=5))

    def test_a_clock_a_little_ahead_is_forgiven(self) -> None:
        assert sms(scheduled_at=datetime.now(UTC) - timedelta(seconds=30)).scheduled_at

    def test_an_expiry_in_the_past_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="expires_at has passed"):
            sms(expires_at=NOW - timedelta(seconds=1))

    def test_a_time_without_an_offset_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="timezone"):
            sms(scheduled_at=datetime(2026, 12, 24, 18))  # noqa: DTZ001 - that is the point

    def test_an_expiry_may_lie_a_year_after_the_schedule(self) -> None:
        start = NOW + timedelta(days=300)
        assert sms(scheduled_at=start, expires_at=start + timedelta(days=300)).expires_at


class TestContent:
    @pytest.mark.parametrize(
        "fields",
        [
            {"subject": None},
            {"body": None},
            {"template": "receipt"},
            {"template": "receipt", "subject": None, "body": None, "html": "<p>"},
            {"subject": None, "body": None},
        ],
    )
    def test_an_email_has_a_subject_and_words_or_a_template(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match=r"is missing; give|give one or the other"):
            email(**fields)

    def test_html_alone_will_do(self) -> None:
        assert email(body=None, html="<p>Hello</p>").body is None

    @pytest.mark.parametrize("fields", [{"body": None}, {"template": "otp"}])
    def test_an_sms_has_a_body_or_a_template(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match=r"is missing; give|give one or the other"):
            sms(**fields)

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"body": "Hello", "template": "otp"},
            {"body": "Hello", "content_sid": SID},
            {"template": "otp", "content_sid": SID},
            {"body": "Hello", "content_variables": {"1": "x"}},
            {"content_variables": {"1": "x"}},
        ],
    )
    def test_whatsapp_has_exactly_one_kind_of_content(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match=r"is missing|give one or the other|without"):
            whatsapp(**fields)

    def test_a_webhook_has_no_template(self) -> None:
        with pytest.raises(ValidationError, match="template"):
            webhook(template="otp")

    @pytest.mark.parametrize("event_type", ["", "invoice paid", ".paid", "paid.", "a..b", "a\n"])
    def test_an_event_type_is_words_and_full_stops(self, event_type: str) -> None:
        with pytest.raises(ValidationError, match="event_type"):
            webhook(event_type=event_type)


class TestSmsSender:
    @pytest.mark.parametrize("sender", ["+14155550100", "12345", "Acme", "Acme & Co", "24seven"])
    def test_a_number_a_short_code_or_a_name_will_do(self, sender: str) -> None:
        assert sms(sender=sender).sender == sender

    @pytest.mark.parametrize("sender", ["", "+1", "12", "TwelveLetters", "a\nb", "Ünited"])
    def test_anything_else_will_not(self, sender: str) -> None:
        with pytest.raises(ValidationError, match="sender"):
            sms(sender=sender)
