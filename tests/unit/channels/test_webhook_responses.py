"""What a webhook receiver's answer means."""

from collections.abc import Mapping

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from tidings.channels.network.http_client import HttpResponse
from tidings.channels.webhook.channel import interpret
from tidings.delivery.errors import DeliveryError, Rejected, Suppression, Throttled, Unavailable

ELSEWHERE = "http://169.254.169.254/latest/meta-data"


def reply(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> HttpResponse:
    return HttpResponse(status, CIMultiDictProxy(CIMultiDict(headers or {})), body)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    sent = interpret(reply(status))

    assert (sent.provider, sent.code, sent.reference) == ("webhook", str(status), "")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, Unavailable) for status in (101, 300, 302, 303, 304, 307)),
        *((status, Rejected) for status in (301, 308, 410)),
        *((status, Unavailable) for status in (400, 401, 403, 404, 405, 408, 409, 413, 422, 425)),
        (429, Throttled),
        *((status, Unavailable) for status in (500, 502, 503, 504, 599, 999)),
    ],
)
def test_anything_else_is_tried_again_but_what_is_for_good(
    status: int, expected: type[DeliveryError]
) -> None:
    with pytest.raises(DeliveryError) as caught:
        interpret(reply(status))

    assert type(caught.value) is expected
    assert caught.value.code == str(status)


@pytest.mark.parametrize("status", [302, 303, 307, 404, 413, 425, 429, 500, 502, 503])
def test_a_receiver_may_say_when_to_come_back(status: int) -> None:
    with pytest.raises(Throttled) as caught:
        interpret(reply(status, {"Retry-After": "40"}))

    assert caught.value.retry_after == 40


@pytest.mark.parametrize("status", [301, 308, 410])
def test_what_is_for_good_is_so_whenever_we_would_come_back(status: int) -> None:
    with pytest.raises(Rejected):
        interpret(reply(status, {"Retry-After": "40"}))


@pytest.mark.parametrize("status", [301, 302, 307, 308, 410, 429, 500])
def test_nothing_that_a_receiver_wrote_is_repeated(status: int) -> None:
    with pytest.raises(DeliveryError) as caught:
        interpret(reply(status, {"Location": ELSEWHERE, "X-Note": "Wilhelmina"}, b"Wilhelmina"))

    assert "169.254" not in str(caught.value)
    assert "Wilhelmina" not in str(caught.value)


def test_a_receiver_that_is_gone_is_one_to_suppress_and_one_that_moved_is_not() -> None:
    with pytest.raises(Rejected) as gone:
        interpret(reply(410))
    with pytest.raises(Rejected) as moved:
        interpret(reply(301))

    assert (gone.value.suppress, moved.value.suppress) == (Suppression.OPTED_OUT, None)


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_is_named(status: int) -> None:
    with pytest.raises(DeliveryError, match="redirects"):
        interpret(reply(status, {"Location": ELSEWHERE}))
