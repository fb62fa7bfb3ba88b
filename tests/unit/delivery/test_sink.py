"""The sink takes tests, and fails for test recipients as their name says."""

import json
from uuid import uuid4

import pytest
from tests.support.attempts import NOW, attempt_of

from tidings.delivery.delay import Delay
from tidings.delivery.errors import DeliveryError, Rejected
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Content, SendRequest
from tidings.delivery.retry_policy import DeliveryPolicy, Guarantee, RetryPolicy
from tidings.delivery.sink import Behaviour, behaviour_of, receive
from tidings_events import CHANNELS, MODELS, parse

WRITTEN = {
    "email": "{}@tidings.test",
    "sms": "+1202555019{}",
    "whatsapp": "+1202555019{}",
    "webhook": "https://tidings.test/{}",
    "in_app": "{}@tidings.test",
}
"""How a test recipient is written on each channel, by its name or place."""


def recipient(channel: str, behaviour: Behaviour) -> str:
    place = [*Behaviour].index(behaviour)
    return WRITTEN[channel].format(place if WRITTEN[channel].startswith("+") else behaviour)


def sent_to(address: str, number: int = 1, epoch: int = 0) -> SendRequest:
    attempt = attempt_of(number=number, epoch=epoch, recipient=address, test=True)
    return SendRequest(attempt, Content("Hello"), 5.0)


def course(behaviour: Behaviour, epoch: int = 0) -> list[str]:
    """What the first four attempts of an epoch bring."""
    outcomes = []
    for number in range(1, 5):
        try:
            receive(sent_to(f"{behaviour}@tidings.test", number, epoch))
            outcomes.append("sent")
        except DeliveryError as error:
            outcomes.append(error.kind)
    return outcomes


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("behaviour", Behaviour)
def test_every_channel_has_a_valid_recipient_for_every_behaviour(
    channel: str, behaviour: Behaviour
) -> None:
    minimal = {**MODELS[channel].examples["minimal"], "recipient": recipient(channel, behaviour)}
    written = {**minimal, "id": str(uuid4()), "channel": channel, "test": True}
    notification = parse(json.dumps(written).encode())
    assert behaviour_of(str(notification.recipient)) is behaviour


@pytest.mark.parametrize(
    ("behaviour", "outcomes", "replayed"),
    [
        (Behaviour.SENT, ["sent"] * 4, ["sent"] * 4),
        (Behaviour.REJECTED, ["rejected"] * 4, ["rejected"] * 4),
        (Behaviour.REJECTED_ONCE, ["rejected"] * 4, ["sent"] * 4),
        (Behaviour.FAILS_ONCE, ["unavailable", *["sent"] * 3], ["unavailable", *["sent"] * 3]),
        (
            Behaviour.FAILS_TWICE,
            ["unavailable", "unavailable", "sent", "sent"],
            ["unavailable", "unavailable", "sent", "sent"],
        ),
        (Behaviour.FAILS_ALWAYS, ["unavailable"] * 4, ["unavailable"] * 4),
        (Behaviour.THROTTLED, ["throttled", *["sent"] * 3], ["throttled", *["sent"] * 3]),
        (
            Behaviour.OUTCOME_UNKNOWN,
            ["outcome_unknown", *["sent"] * 3],
            ["outcome_unknown", *["sent"] * 3],
        ),
    ],
)
def test_a_test_recipient_fails_as_its_name_says(
    behaviour: Behaviour, outcomes: list[str], replayed: list[str]
) -> None:
    assert course(behaviour) == outcomes
    assert course(behaviour, epoch=1) == replayed


@pytest.mark.parametrize(
    "address",
    [
        "rejected+order-10042@tidings.test",
        "Rejected@tidings.test",
        "https://tidings.test/rejected/hooks?order=10042",
        "http://TIDINGS.TEST:8080/rejected",
    ],
)
def test_the_rest_of_a_test_recipient_is_free(address: str) -> None:
    assert behaviour_of(address) is Behaviour.REJECTED


@pytest.mark.parametrize(
    "address",
    [
        "rejected@example.com",
        "rejected@mail.tidings.test",
        "rejected@tidings.test.example.com",
        "+12025550199",
        "https://tidings.test.example.com/rejected",
        "https://example.com/https://tidings.test/rejected",
    ],
)
def test_any_other_recipient_is_sent_to(address: str) -> None:
    assert behaviour_of(address) is Behaviour.SENT


@pytest.mark.parametrize(
    "address", ["rejectd@tidings.test", "https://tidings.test", "https://tidings.test?rejected"]
)
def test_a_misspelt_test_recipient_is_refused_with_the_known_ones(address: str) -> None:
    with pytest.raises(ValueError, match="known are sent, rejected, rejected-once"):
        behaviour_of(address)


def test_a_notification_to_no_such_test_recipient_is_rejected() -> None:
    with pytest.raises(Rejected, match="there is no such test recipient"):
        receive(sent_to("rejectd@tidings.test"))


def test_a_test_has_the_sink_as_its_provider_and_a_reference() -> None:
    request = sent_to("ada@example.com", epoch=2)
    assert receive(request) == Sent("test", f"test-{request.attempt.id}.2")


def test_a_test_is_retried_after_the_shortest_delay_that_is_allowed() -> None:
    delays = (Delay(60), Delay(600))
    policy = DeliveryPolicy(
        RetryPolicy((Delay(600), Delay(3600))), Guarantee.AT_LEAST_ONCE, 5.0, queue_delays=delays
    )

    def wait(address: str, **fields: bool) -> int:
        attempt = attempt_of(recipient=address, **fields)
        with pytest.raises(DeliveryError) as failed:
            receive(SendRequest(attempt, Content("Hello"), 5.0))
        return policy.decide(failed.value, attempt, NOW).delay.seconds  # type: ignore[union-attr]

    assert wait("fails-once@tidings.test", test=True) == 60
    assert wait("throttled@tidings.test", test=True) == 60
    assert wait("fails-once@tidings.test") == 600
