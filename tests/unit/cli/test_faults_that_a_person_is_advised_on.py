"""What the command line takes faults by is what they are recorded as; it loads none of what records them."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tidings.broker.consumer import BrokerDelivery
from tidings.broker.dead_letters import read_dead_letter
from tidings.broker.wire.settlement import Settlement
from tidings.delivery.attempt import Message
from tidings.delivery.errors import Rejected
from tidings.delivery.ports import TemplateParts
from tidings.operations.dead_letters.remedies import (
    BROKER_EXPIRED,
    NO_SUCH_TEMPLATE,
    OF_TEMPLATES,
)
from tidings.templates import TemplateError, Templates
from tidings.worker.content import content_of
from tidings_events import SmsNotification


def _every(kind: type[TemplateError]) -> Iterator[str]:
    for below in kind.__subclasses__():
        yield below.__name__
        yield from _every(below)


def test_every_fault_of_a_template_is_known_by_its_code() -> None:
    assert {*_every(TemplateError)} == {NO_SUCH_TEMPLATE, *OF_TEMPLATES}


def test_a_template_that_is_not_there_is_recorded_by_the_code_it_is_known_by(
    tmp_path: Path,
) -> None:
    notification = SmsNotification(recipient="+14155550123", template="none", data={})
    with pytest.raises(Rejected) as caught:
        content_of(notification, TemplateParts(required={"sms": "text"}), Templates(tmp_path))
    assert caught.value.code == NO_SUCH_TEMPLATE


def test_what_its_own_amqp_expiration_ended_is_recorded_as_the_kind_it_is_known_by() -> None:
    death = {"queue": "tidings.sms.normal", "reason": "expired", "original-expiration": "1000"}
    message = Message(b"{}", "sms.normal", {"x-death": [death]})
    nobody = cast(Settlement, None)  # reading settles nothing
    dead_letter = read_dead_letter(
        BrokerDelivery(message, "tidings.dead", "", False, 1, nobody), channels=["sms"]
    )
    assert dead_letter.failure.kind == BROKER_EXPIRED
