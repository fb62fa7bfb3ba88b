"""What Twilio's answers mean."""

import inspect
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from twilio.base import exceptions
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException

from tidings.channels.network.http_client import HttpResponse
from tidings.channels.twilio.responses import accepted, refused
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

PERSONAL = "+14155552671"


def reply(status: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return HttpResponse(status, CIMultiDictProxy(CIMultiDict(headers or {})), b"")


def rest(status: int, code: object = None) -> TwilioRestException:
    """As Twilio's client makes it: the status stands in where the reply has no code."""
    text = f"The 'To' number {PERSONAL} is bad"
    return TwilioRestException(status, "/Messages.json", text, code if code else status)


EXCEPTIONS = {
    TwilioException: TwilioException(PERSONAL),
    TwilioRestException: rest(400, 21211),
    TwilioServiceException: TwilioServiceException("about:blank", PERSONAL, 400, 21211),
}


def test_we_know_every_exception_of_twilios_client() -> None:
    theirs = {
        value
        for value in vars(exceptions).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    }

    assert theirs == EXCEPTIONS.keys()


@pytest.mark.parametrize("error", EXCEPTIONS.values(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("came", [None, reply(400)], ids=["unsent", "answered"])
def test_every_exception_of_twilios_client_becomes_one_of_ours(
    error: TwilioException, came: HttpResponse | None
) -> None:
    ours = refused(error, came)

    assert type(ours) in {Misconfigured, OutcomeUnknown, Rejected}
    assert ours.provider == "twilio"
    assert PERSONAL not in str(ours)


def test_a_complaint_of_the_client_about_a_reply_leaves_open_what_happened() -> None:
    assert type(refused(TwilioException("what is this"), reply(200))) is OutcomeUnknown


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (101, Misconfigured),
        (301, Misconfigured),
        (307, Misconfigured),
        (400, Rejected),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (405, Misconfigured),
        (408, Unavailable),
        (409, Rejected),
        (413, Rejected),
        (425, Unavailable),
        (429, Throttled),
        (500, OutcomeUnknown),
        (502, OutcomeUnknown),
        (503, OutcomeUnknown),
        (504, OutcomeUnknown),
        (520, OutcomeUnknown),
    ],
)
def test_a_status_without_a_code_we_know_is_judged_by_itself(
    status: int, expected: type[DeliveryError]
) -> None:
    bare, unheard_of = (
        refused(rest(status), reply(status)),
        refused(rest(status, 99999), reply(status)),
    )

    assert type(bare) is expected
    assert bare.code == str(status)
    assert type(unheard_of) is (Rejected if status in {403, 404} else expected)
    assert unheard_of.code == "99999"


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_for_a_reason_that_twilio_names_is_about_this_message(status: int) -> None:
    error = refused(rest(status, 99999), reply(status))

    assert type(error) is Rejected
    assert "https://www.twilio.com/docs/api/errors/99999" in str(error)


def test_a_503_of_twilios_own_was_not_sent() -> None:
    assert type(refused(rest(503, 20503), reply(503))) is Unavailable


def test_a_503_with_a_time_to_come_back_was_turned_away() -> None:
    error = refused(rest(503), reply(503, {"Retry-After": "30"}))

    assert isinstance(error, Throttled)
    assert error.retry_after == 30


@pytest.mark.parametrize("code", [None, 20429, 21611, 99999])
def test_a_429_says_when_to_come_back(code: int | None) -> None:
    error = refused(rest(429, code), reply(429, {"Retry-After": "12"}))

    assert isinstance(error, Throttled)
    assert error.retry_after == 12


def test_the_code_counts_for_more_than_the_status() -> None:
    assert type(refused(rest(400, 20003), reply(400))) is Misconfigured


@pytest.mark.parametrize("code", ["21610", 21610, "0021610"[2:]])
def test_a_code_may_be_written_as_text(code: object) -> None:
    assert refused(rest(400, code), reply(400)).message == "the recipient has opted out"


@pytest.mark.parametrize("code", ["x" * 5000, [21610], {"a": 1}, -1, 10**30, 3.5, True, "²"])
def test_a_code_that_is_none_is_not_repeated(code: object) -> None:
    error = refused(rest(400, code), reply(400))

    assert type(error) is Rejected
    assert error.code == "400"


def test_an_opted_out_recipient_is_one_to_suppress() -> None:
    error = refused(rest(400, 21610), reply(400))

    assert isinstance(error, Rejected)
    assert error.suppress is Suppression.OPTED_OUT


def test_an_unheard_of_code_says_where_to_read_about_it() -> None:
    assert "https://www.twilio.com/docs/api/errors/99999" in str(
        refused(rest(400, 99999), reply(400))
    )


def test_a_refusal_without_a_code_does_not_send_people_to_read_about_the_status() -> None:
    assert "/errors/" not in str(refused(rest(400), reply(400)))


def test_a_sender_named_by_the_notification_is_its_own_fault() -> None:
    ours = refused(rest(400, 21660), reply(400), sender="+14155550100")
    theirs = refused(rest(400, 21660), reply(400), sender="+14155550100", own=True)

    assert type(ours) is Misconfigured
    assert type(theirs) is Rejected


def created(**fields: object) -> SimpleNamespace:
    return SimpleNamespace(**{"sid": "SM1", "status": "queued", "error_code": None, **fields})


@pytest.mark.parametrize("status", ["queued", "accepted", "sending", "sent", "scheduled", None])
def test_a_message_that_has_a_sid_was_sent(status: str | None) -> None:
    sent = accepted(created(status=status), reply(201), sender="", own=False)

    assert (sent.provider, sent.reference, sent.code) == ("twilio", "SM1", "201")


@pytest.mark.parametrize("sid", [None, "", 7, ["SM1"], "SM1\nX", "S" * 65, "SM 1", "ＳＭ"])
def test_a_message_without_a_sid_may_have_been_sent(sid: object) -> None:
    with pytest.raises(OutcomeUnknown):
        accepted(created(sid=sid), reply(201), sender="", own=False)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(21610, Rejected), (30001, Throttled), (30410, OutcomeUnknown), (99999, Rejected)],
)
@pytest.mark.parametrize("status", ["failed", "undelivered", "canceled", "queued"])
def test_a_message_created_with_an_error_is_judged_by_its_code(
    status: str, code: int, expected: type[DeliveryError]
) -> None:
    with pytest.raises(expected) as caught:
        accepted(created(status=status, error_code=code), reply(201), sender="", own=False)

    assert type(caught.value) is expected
    assert caught.value.code == str(code)


@pytest.mark.parametrize("status", ["failed", "undelivered", "canceled"])
def test_a_message_created_as_failed_for_no_reason_is_worth_another_try(status: str) -> None:
    with pytest.raises(Deferred):
        accepted(created(status=status), reply(201), sender="", own=False)
