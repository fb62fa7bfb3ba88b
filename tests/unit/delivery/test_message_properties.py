"""Which producer a message is of, and whom it is about: told whether or not it can be read."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.attempts import body_of

from tidings.delivery.attempt import Message
from tidings.delivery.properties import producer, producer_of, properties_header, properties_of
from tidings.delivery.search_fields import NO_SEARCH_FIELDS, SearchFields, read_search_fields
from tidings_events import parse
from tidings_events.routing import Headers

ID = "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d"
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FURTHER = {"app_id": "shop", "user_id": "guest", "reply_to": "q", "expiration": "5000"}
KEPT = {
    "app_id": "shop",
    "user_id": "guest",
    "message_id": "m1",
    "content_encoding": "UTF-8",
    "timestamp": "2026-01-02T03:04:05+00:00",
    "expiration": "5000",
}


def message(
    headers: dict[str, object] | None = None, further: dict[str, str] | None = None
) -> Message:
    return Message(b"{}", "email.high", headers or {}, None, "UTF-8", "m1", WHEN, further)


def test_a_producer_s_properties_are_kept_in_the_order_in_which_they_are_told() -> None:
    assert list((properties_of(message(further=FURTHER)) or {}).items()) == list(KEPT.items())


def test_when_it_was_published_is_kept_to_the_millisecond_where_a_header_says_so() -> None:
    exact = message({"timestamp_in_ms": int(WHEN.timestamp() * 1000) + 7})
    assert (properties_of(exact) or {})["timestamp"] == "2026-01-02T03:04:05.007000+00:00"


def test_they_go_along_in_a_header_of_ours_for_as_long_as_it_takes() -> None:
    first = properties_header(message(further=FURTHER))
    again = message({**first, Headers.EPOCH: 0})
    assert properties_of(again) == KEPT
    assert properties_header(again) == first


def test_what_we_publish_ourselves_has_no_properties_of_its_own() -> None:
    assert properties_of(message({Headers.EPOCH: 0})) is None
    assert properties_header(message({Headers.EPOCH: 0})) == {}


def test_a_header_that_a_producer_forged_is_no_match_for_what_the_broker_has_checked() -> None:
    forged = {Headers.PROPERTIES: json.dumps({"user_id": "admin"}), Headers.EPOCH: 0}
    found = properties_of(message(forged, {"user_id": "guest"})) or {}
    assert found["user_id"] == "guest"
    del forged[Headers.EPOCH]
    assert "user_id" not in (properties_of(message(forged)) or {})


@pytest.mark.parametrize("odd", ["{", "[1]", 7, None, b"{}", '{"app_id": 7}', "[" * 100_000])
def test_a_header_that_makes_no_sense_says_nothing(odd: object) -> None:
    assert not properties_of(message({Headers.PROPERTIES: odd, Headers.EPOCH: 0}))


def test_properties_are_made_fit_for_amqp_and_postgresql() -> None:
    written = json.dumps({"app_id": "a\x00\ud800" + "x" * 999})
    (found,) = (
        properties_of(message({Headers.PROPERTIES: written, Headers.EPOCH: 0})) or {}
    ).values()
    assert found.startswith("a\N{REPLACEMENT CHARACTER}?x")
    assert len(found) == 255


def test_a_producer_is_named_by_its_application_and_its_user() -> None:
    assert producer(KEPT) == "app_id 'shop', user_id 'guest'"
    assert "neither" in producer({"message_id": "m1"})
    assert "neither" in producer(None)


@pytest.mark.parametrize(
    ("further", "named"),
    [
        ({"app_id": "shop", "user_id": "guest"}, "shop (user guest)"),
        ({"app_id": "shop", "correlation_id": "7"}, "shop"),
        ({"user_id": "guest"}, "user guest"),
        ({"correlation_id": "7"}, None),
        (None, None),
    ],
)
def test_history_names_the_producer_and_goes_on_naming_it_when_we_publish(
    further: dict[str, str] | None, named: str | None
) -> None:
    first = message(further=further)
    assert producer_of(first) == named
    assert (
        producer_of(message({**properties_header(first), Headers.EPOCH: 0}, {"app_id": "tidings"}))
        == named
    )


def test_a_producer_s_name_is_made_fit_for_postgresql() -> None:
    assert producer_of(message(further={"app_id": "a\x00\ud800" + "x" * 999})) == (
        "a\N{REPLACEMENT CHARACTER}?" + "x" * 252
    )


def test_what_can_be_read_is_found_by_what_its_model_says() -> None:
    about = {"user_id": "u1", "entity": {"type": "order", "id": "7"}}
    body = body_of(id=ID, **about, category="otp", tenant="acme")
    expected = SearchFields(UUID(ID), "email", "otp", "ada@example.com", "u1", "order", "7", "acme")
    assert SearchFields.of(parse(body)) == expected
    assert read_search_fields(body_of(**json.loads(body), unknown=1)) == expected


def test_what_is_of_a_wrong_kind_costs_nothing_else() -> None:
    body = body_of(
        id=ID,
        user_id=42,
        entity=[1],
        category={"a": 1},
        tenant=["acme"],
        recipient="nobody",
        channel=None,
    )
    assert read_search_fields(body) == SearchFields(UUID(ID), recipient="nobody", user_id="42")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'"x"',
        b'{"id": 7, "user_id": true, "recipient": null}',
        b'{"user_id": 1' + b"0" * 5_000 + b"}",
        b'{"id": "' + ID.encode() + b'", "data": ' + b"[" * 100_000,
    ],
)
def test_what_says_nothing_or_costs_too_much_to_look_into_says_nothing(body: bytes) -> None:
    assert replace(read_search_fields(body), tenant=None) == NO_SEARCH_FIELDS


@pytest.mark.parametrize(
    ("body", "tenant"),
    [
        (b'{"id": 7}', "default"),
        (b'{"id": 7, "tenant": null}', "default"),
        (b'{"id": 7, "tenant": "acme"}', "acme"),
        (b'{"id": 7, "tenant": "Acme"}', None),
        (b'{"id": 7, "tenant": 7}', None),
        (b'{"tenant": "ac', None),
        (b'{"data": [' + b"0," * 100_000 + b'0], "tenant": "acme"}', None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_tenant_that_can_t_be_read_is_never_guessed(body: bytes, tenant: str | None) -> None:
    assert read_search_fields(body).tenant == tenant


@pytest.mark.parametrize(
    ("test", "meant"),
    [(None, False), (False, False), (True, True), ("yes", True), ([], True), ({"a": 1}, True)],
)
def test_whatever_stands_for_test_is_read(test: object, meant: bool) -> None:
    assert read_search_fields(body_of(test=test)).test is meant


def test_a_mail_with_a_large_attachment_still_says_whom_it_is_about() -> None:
    body = body_of(id=ID, attachments=[{"content": "x" * 5_000_000}])
    assert read_search_fields(body).id == UUID(ID)


@given(st.binary(max_size=200) | st.text().map(lambda text: body_of(user_id=text, id=text)))
def test_whatever_is_told_can_be_stored(body: bytes) -> None:
    found = read_search_fields(body)
    for text in (found.channel, found.category, found.recipient, found.user_id, found.entity_id):
        assert text is None or "\x00" not in text.encode().decode()


def test_what_would_take_too_much_memory_is_still_found_by_how_it_begins() -> None:
    begins = b'{"id": "' + ID.encode() + b'", "recipient": "ada@example.com", "data": ['
    assert read_search_fields(begins + b"0," * 100_000 + b"0]}") == SearchFields(
        UUID(ID), recipient="ada@example.com"
    )
    larger_than_allowed = b'{"id": "' + ID.encode() + b'", "body": "' + b"x" * 11 * 1024 * 1024
    assert read_search_fields(larger_than_allowed) == SearchFields(UUID(ID))
