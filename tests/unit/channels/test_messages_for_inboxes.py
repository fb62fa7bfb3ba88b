"""What a notification becomes in an inbox, and what each failure of the inbox means for it."""

import json
from datetime import UTC, datetime

import pytest
from tests.contract.channels.rig import request_for

from tidings.channels.in_app import SPEC
from tidings.channels.in_app.channel import InAppChannel, message_of
from tidings.channels.spec import OperatorAlert
from tidings.delivery.errors import (
    CommitUnknown,
    ConfigurationError,
    LedgerRefused,
    LedgerUnavailable,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    TidingsError,
    Unavailable,
)
from tidings.delivery.inbox import InboxMessage
from tidings.delivery.ports import Content, SendRequest, Verdict
from tidings.operations.masks import veiled
from tidings_events import InAppNotification


def request(content: Content | None = None, **fields: object) -> SendRequest:
    written = {"channel": "in_app", "recipient": "user-4711", "title": "Hello", **fields}
    return request_for(written, content or Content(), timeout=5.0)


class FailingInbox:
    """An inbox that raises."""

    def __init__(self, error: TidingsError) -> None:
        self._error = error

    async def deliver(self, message: InboxMessage, timeout: float) -> None:
        raise self._error

    async def check(self) -> None:
        raise self._error


def test_all_that_was_written_is_in_the_message() -> None:
    ends = datetime(2031, 1, 1, tzinfo=UTC)
    message = message_of(
        request(
            tenant="acme",
            category="receipt",
            type="order",
            severity="warning",
            body="On its way.",
            data={"a": [1, "ü"]},
            action_url="/orders/1",
            actions=[{"id": "ok", "label": "OK"}],
            entity={"type": "order", "id": "1"},
            expires_at=ends.isoformat(),
        )
    )

    assert (message.tenant, message.user_id, message.category) == ("acme", "user-4711", "receipt")
    assert (message.title, message.body) == ("Hello", "On its way.")
    assert (message.type, message.severity) == ("order", "warning")
    assert message.data == '{"a":[1,"ü"]}'
    assert message.actions == '[{"id":"ok","label":"OK","url":null}]'
    assert (message.action_url, message.entity_type, message.entity_id) == (
        "/orders/1",
        "order",
        "1",
    )
    assert message.expires_at == ends


def test_what_was_left_out_is_nothing() -> None:
    message = message_of(request())

    assert (message.body, message.data, message.actions, message.expires_at) == (None,) * 4
    assert (message.type, message.severity) == ("message", "info")


def test_a_template_that_renders_too_much_is_cut_where_clients_rely_on_it() -> None:
    content = Content(subject="t" * 300, text=" b" * 3_000)
    message = message_of(request(content, title=None, template="any"))

    assert message.title == "t" * 199 + "…"
    assert message.body is not None
    assert len(message.body) <= 4_000
    assert message.body.endswith("b…")


def test_a_template_that_renders_no_title_is_refused() -> None:
    with pytest.raises(Rejected, match="empty title"):
        message_of(request(Content(subject=" \n"), title=None, template="any"))


@pytest.mark.parametrize(
    ("raised", "means"),
    [
        (CommitUnknown("lost"), OutcomeUnknown),
        (LedgerUnavailable("away"), Unavailable),
        (LedgerRefused("value"), Rejected),
        (ConfigurationError("no table"), Misconfigured),
    ],
)
async def test_each_failure_of_the_inbox_has_its_meaning(
    raised: TidingsError, means: type[Exception]
) -> None:
    with pytest.raises(means) as caught:
        await InAppChannel(FailingInbox(raised)).send(request())

    assert type(caught.value) is means
    (finding,) = await InAppChannel(FailingInbox(raised)).check()
    assert finding.verdict is Verdict.FAULT


def test_an_alert_to_operators_is_a_valid_notification_however_long_it_is() -> None:
    alert = OperatorAlert("t" * 500, "x\n" * 5_000, "tidings.dead_letters")
    fields = {"recipient": "on-call", **SPEC.alert_fields(alert)}

    assert InAppNotification.model_validate(fields).severity == "critical"


def test_no_output_shows_what_is_in_a_message_or_whose_it_is() -> None:
    example = {**InAppNotification.examples["full"], "channel": "in_app"}
    shown = veiled(json.dumps(example).encode())

    assert shown is not None
    for secret in (
        "Thank you",
        "We will tell",
        "/orders/10042",
        "Invoice",
        "shop.example",
        "user-4711",
    ):
        assert secret not in shown
    assert '"type": "order"' in shown
    assert '"severity": "success"' in shown
