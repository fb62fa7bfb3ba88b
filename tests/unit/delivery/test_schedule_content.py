"""The notifications of a schedule: what all have, what each has, and what no schedule can have."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tidings.delivery.schedule_content import HEAVIEST, body_of, checked
from tidings_events import InvalidNotification, parse

EMAIL: dict[str, Any] = {"channel": "email", "subject": "Hello", "body": "How are you?"}


def test_each_recipient_has_the_content_and_what_is_its_own() -> None:
    content = {**EMAIL, "data": {"a": 1, "b": 1, "c": 1}, "locale": "de"}
    recipient = {"recipient": "ada@example.com", "locale": "en", "data": {"c": 3}}
    body = body_of(content, recipient, uuid4(), tenant="acme", data={"b": 2})
    assert json.loads(body)["data"] == {"a": 1, "b": 2, "c": 3}
    notification = parse(body)
    assert (str(notification.recipient), notification.locale) == ("ada@example.com", "en")
    assert notification.tenant == "acme"


@pytest.mark.parametrize(
    ("content", "recipients", "problem"),
    [
        ({**EMAIL, "id": str(uuid4())}, ["a@example.com"], "content.id: belongs to a single"),
        ({**EMAIL, "idempotency_key": "k"}, ["a@example.com"], "content.idempotency_key: belongs"),
        ({**EMAIL, "recipient": "x@example.com"}, ["a@example.com"], "content.recipient: is given"),
        ({**EMAIL, "tenant": "other"}, ["a@example.com"], "content.tenant: is the schedule's"),
        ({"channel": "email", "body": "x"}, ["a@example.com"], "content.subject: "),
        ({}, ["a@example.com"], "content.channel: "),
        (EMAIL, ["a@example.com", "nobody"], "recipients[1].recipient: "),
        (EMAIL, [{"user_id": "u1"}], "recipients[0].recipient: is missing"),
        (EMAIL, [{"recipient": "a@example.com", "subject": "x"}], "recipients[0].subject: is not"),
        (EMAIL, [7], "recipients[0]: is neither"),
        (EMAIL, ["a@example.com"] * 1001, "recipients: are 1,001"),
        ({**EMAIL, "body": "x" * (HEAVIEST // 10)}, ["a@example.com"] * 11, "content: is 3"),
    ],
)
def test_what_can_t_be_sent_is_refused_by_field(
    content: dict[str, Any], recipients: list[Any], problem: str
) -> None:
    with pytest.raises(InvalidNotification) as refusal:
        checked(content, recipients, tenant="default")
    assert any(found.startswith(problem) for found in refusal.value.problems), (
        refusal.value.problems
    )
    assert len(refusal.value.problems) <= 25


def test_a_thousand_recipients_are_fine() -> None:
    checked(EMAIL, [f"{number}@example.com" for number in range(1000)], tenant="default")
