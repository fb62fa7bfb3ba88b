"""Signing webhooks."""

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tidings.channels.webhook.signature import Signer
from tidings.delivery.errors import ConfigurationError

KEY = "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d.0"


def secret(fill: bytes = b"k", length: int = 32) -> str:
    return "whsec_" + base64.b64encode(fill * length).decode()


def test_receivers_can_verify_with_the_specifications_own_library() -> None:
    headers = Signer(secret()).headers(KEY, b'{"type":"a"}')

    assert Webhook(secret()).verify('{"type":"a"}', dict(headers)) == {"type": "a"}


def test_the_specifications_example_is_signed_as_it_says() -> None:
    """The test vector that the specification's libraries share."""
    signer = Signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    now = datetime.fromtimestamp(1614265330, UTC)

    headers = signer.headers("p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', now=now)

    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_a_secret_is_replaced_both_verify() -> None:
    headers = dict(Signer(f"{secret(b'a')} {secret(b'b')}").headers(KEY, b"{}"))

    assert Webhook(secret(b"a")).verify("{}", headers) == {}
    assert Webhook(secret(b"b")).verify("{}", headers) == {}
    assert len(headers["webhook-signature"].split(" ")) == 2
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(b"c")).verify("{}", headers)


def test_the_id_is_the_same_on_every_try_and_another_after_a_replay() -> None:
    signer = Signer(secret())

    first, again = signer.headers("id.0", b"{}"), signer.headers("id.0", b"{}")

    assert first["webhook-id"] == again["webhook-id"]
    assert first["webhook-id"] != signer.headers("id.1", b"{}")["webhook-id"]


def test_the_id_has_no_full_stop_since_that_separates_what_is_signed() -> None:
    assert "." not in Signer(secret()).headers(KEY, b"{}")["webhook-id"]


@pytest.mark.parametrize(
    "written", [secret(), secret().removeprefix("whsec_"), secret().rstrip("=")]
)
def test_a_secret_may_lack_its_prefix_and_its_padding(written: str) -> None:
    headers = Signer(written).headers(KEY, b"{}")

    assert Webhook(secret()).verify("{}", dict(headers)) == {}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("", "is not set"),
        ("  ", "is not set"),
        ("whsec_", "secret 1 is empty"),
        ("whsec_!!!!", "secret 1 is not whsec_ followed by base64"),
        ("whsec_aGVsbG8-", "secret 1 is not whsec_ followed by base64"),
        ("whsec_Ümlaut", "secret 1 is not whsec_ followed by base64"),
        (f"{secret()} whsec_*", "secret 2 is not whsec_ followed by base64"),
        ("whsk_aGVsbG8=", "secret 1 is for asymmetric signatures"),
    ],
)
def test_a_secret_that_is_none_is_refused_without_repeating_it(written: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Signer(written)

    assert "TIDINGS_WEBHOOK_SECRET" in str(caught.value)
    assert text in str(caught.value)
    assert not any(word in str(caught.value) for word in written.split() if len(word) > 6)


def test_secrets_of_an_odd_length_are_pointed_out() -> None:
    signer = Signer(f"{secret()} {secret(length=23)} {secret(length=64)} {secret(length=65)}")

    assert signer.odd == (2, 4)
    assert len(signer) == 4
