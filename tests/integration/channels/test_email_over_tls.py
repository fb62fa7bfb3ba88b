"""A relay is trusted and logged in to as configured, and nothing is said to one that is not."""

import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme
from tests.contract.channels.rigs.smtp_relay import Relay, and_hang_up, fall_silent
from tests.integration.channels.email_setup import channel_to, mail

from tidings.channels.email.channel import EmailChannel
from tidings.channels.email.settings import EmailSettings
from tidings.delivery.errors import ConfigurationError, Misconfigured, Throttled, Unavailable
from tidings.delivery.ports import Finding, Verdict

LOGIN = ("mailer", "päss")
CREDENTIALS = {"username": LOGIN[0], "password": LOGIN[1]}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its own certificate, as a file."""
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def _shows(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def _faults(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict is Verdict.FAULT]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mail_and_login_go_over_a_verified_connection(
    tls: str, authority: trustme.CA, ca_file: Path
) -> None:
    relay = Relay(tls=_shows(authority), implicit=tls == "implicit", login=LOGIN)
    async with relay, channel_to(relay, tls=tls, ca_file=ca_file, **CREDENTIALS) as channel:
        for _ in range(3):
            await channel.send(mail())

        assert (len(relay.mails), relay.opened) == (3, 1)
        findings = await channel.check()

    assert [(finding.subject, finding.verdict) for finding in findings] == [
        ("email: relay", Verdict.OK),
        ("email: encryption", Verdict.OK),
        ("email: login", Verdict.OK),
        ("email: sender", Verdict.OK),
    ]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_large_mail_arrives_whole_over_tls(
    tls: str, authority: trustme.CA, ca_file: Path
) -> None:
    relay = Relay(tls=_shows(authority), implicit=tls == "implicit")
    text = ".line\n" * 200_000
    async with relay, channel_to(relay, tls=tls, ca_file=ca_file) as channel:
        await channel.send(mail(text=text, timeout=20))

    body = relay.mails[0].payload.partition(b"\r\n\r\n")[2]
    assert body == text.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_nobody_vouches_for_is_refused(tls: str, authority: trustme.CA) -> None:
    relay = Relay(tls=_shows(authority), implicit=tls == "implicit", login=LOGIN)
    async with relay, channel_to(relay, tls=tls, **CREDENTIALS) as channel:
        with pytest.raises(Misconfigured, match=r"not trusted.*TIDINGS_EMAIL_CA_FILE"):
            await channel.send(mail())
        [fault] = _faults(await channel.check())

    assert fault.subject == ("email: encryption" if tls == "starttls" else "email: relay")
    assert "TIDINGS_EMAIL_CA_FILE" in fault.remedy
    assert not [each for each in relay.commands if each.startswith(("AUTH", "MAIL"))]


async def test_a_certificate_for_another_name_is_refused(
    authority: trustme.CA, ca_file: Path
) -> None:
    relay = Relay(tls=_shows(authority, "elsewhere.example"))
    async with relay, channel_to(relay, tls="starttls", ca_file=ca_file) as channel:
        with pytest.raises(Misconfigured, match="TIDINGS_EMAIL_HOST to a name in the certificate"):
            await channel.send(mail())


async def test_a_relay_that_offers_no_encryption_is_told_nothing() -> None:
    async with (
        Relay(login=LOGIN) as relay,
        channel_to(relay, tls="starttls", **CREDENTIALS) as channel,
    ):
        with pytest.raises(Misconfigured, match="does not offer STARTTLS"):
            await channel.send(mail())

        assert [each.partition(" ")[0] for each in relay.commands] == ["EHLO", "QUIT"]


async def test_a_relay_that_does_not_start_with_tls_is_told_by_the_setting() -> None:
    async with Relay() as relay, channel_to(relay, tls="implicit") as channel:
        with pytest.raises(Misconfigured, match="TIDINGS_EMAIL_TLS=starttls"):
            await channel.send(mail())


async def test_a_relay_that_can_not_encrypt_just_now_is_tried_later(
    authority: trustme.CA, ca_file: Path
) -> None:
    relay = Relay(tls=_shows(authority))
    async with relay, channel_to(relay, tls="starttls", ca_file=ca_file) as channel:
        relay.once("STARTTLS", "454 4.7.0 TLS not available")

        with pytest.raises(Unavailable, match=r"454 4\.7\.0"):
            await channel.send(mail())

        await channel.send(mail())


async def test_a_handshake_that_never_ends_is_given_up_in_time(
    authority: trustme.CA, ca_file: Path
) -> None:
    async def begin_and_stop(session: object) -> None:
        session.writer.write(b"220 go ahead\r\n")  # type: ignore[attr-defined]
        await fall_silent(session)  # type: ignore[arg-type]

    relay = Relay(tls=_shows(authority))
    async with relay, channel_to(relay, tls="starttls", ca_file=ca_file) as channel:
        relay.once("STARTTLS", begin_and_stop)

        with pytest.raises(Unavailable, match="did not reply in time"):
            await channel.send(mail(timeout=0.3))

        await channel.send(mail())


async def test_a_wrong_password_is_told_by_its_setting_and_never_shown() -> None:
    async with (
        Relay(login=LOGIN) as relay,
        channel_to(relay, username="mailer", password="hunter2") as channel,
    ):
        with pytest.raises(Misconfigured, match="TIDINGS_EMAIL_PASSWORD") as caught:
            await channel.send(mail())
        [fault] = _faults(await channel.check())

    assert fault.subject == "email: login"
    assert "hunter2" not in str(caught.value) + fault.detail + fault.remedy


async def test_a_login_that_is_missing_is_found_by_the_check() -> None:
    async with Relay(login=LOGIN) as relay, channel_to(relay) as channel:
        with pytest.raises(Misconfigured, match=r"530 5\.7\.0"):
            await channel.send(mail())
        [fault] = _faults(await channel.check())

    assert (fault.subject, relay.mails) == ("email: sender", [])
    assert "TIDINGS_EMAIL_USERNAME" in fault.remedy


async def test_a_login_that_the_relay_does_not_offer_is_told_by_its_setting() -> None:
    async with Relay() as relay, channel_to(relay, **CREDENTIALS) as channel:
        with pytest.raises(Misconfigured, match="no supported authentication mechanism"):
            await channel.send(mail())


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("454 4.7.0 Temporary authentication failure", Unavailable),
        ("454 4.7.0 Too many login attempts", Throttled),
        ("421 4.7.0 closing", Unavailable),
        ("334 whatever", Unavailable),
    ],
)
async def test_a_login_that_fails_for_the_moment_is_tried_later(
    reply: str, error: type[Exception]
) -> None:
    async with Relay(login=LOGIN) as relay, channel_to(relay, **CREDENTIALS) as channel:
        relay.once("AUTH", reply)

        with pytest.raises(error):
            await channel.send(mail())

        await channel.send(mail())


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("421 4.3.2 not now", Unavailable),
        ("554 5.7.1 not you", Misconfigured),
        ("250 what", Unavailable),
        ("hello", Unavailable),
    ],
)
async def test_a_greeting_that_is_none_is_told(reply: str, error: type[Exception]) -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("CONNECT", and_hang_up(reply), and_hang_up(reply))

        with pytest.raises(error) as caught:
            await channel.send(mail())
        [fault] = _faults(await channel.check())

        assert type(caught.value) is error
        assert fault.subject == "email: relay"
        assert fault.remedy
        await channel.send(mail())


async def test_a_relay_of_old_is_greeted_in_its_own_way() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.once("EHLO", "502 5.5.1 what is EHLO")

        await channel.send(mail())

        assert [each.partition(" ")[0] for each in relay.commands[:2]] == ["EHLO", "HELO"]


async def test_the_name_to_greet_with_is_as_configured() -> None:
    async with Relay() as relay, channel_to(relay, helo="worker.tidings.example") as channel:
        await channel.send(mail())

        assert relay.commands[0] == "EHLO worker.tidings.example"


async def test_a_relay_that_is_not_there_is_unavailable_and_told_by_the_check() -> None:
    async with Relay() as relay:
        port = relay.port
    settings = EmailSettings(host="127.0.0.1", port=port, tls="none", sender="a@b.example")
    channel = EmailChannel(settings)

    with pytest.raises(Unavailable, match="is unreachable"):
        await channel.send(mail())
    [fault] = await channel.check()

    assert fault.verdict is Verdict.FAULT
    assert "TIDINGS_EMAIL_PORT" in fault.remedy


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"sender": ""}, "TIDINGS_EMAIL_SENDER"),
        ({"helo": "two words"}, "TIDINGS_EMAIL_HELO"),
        ({"ca_file": Path("/no/such/file.pem")}, "TIDINGS_EMAIL_CA_FILE"),
        ({"ca_file": Path(__file__)}, "TIDINGS_EMAIL_CA_FILE"),
    ],
)
def test_a_setting_that_can_not_work_is_told_when_the_channel_is_made(
    settings: dict[str, object], variable: str
) -> None:
    given = {"host": "relay.example", "sender": "a@b.example", **settings}

    with pytest.raises(ConfigurationError, match=variable):
        EmailChannel(EmailSettings(**given))  # type: ignore[arg-type]  # settings of many types


def test_encryption_left_out_towards_another_machine_is_a_warning() -> None:
    from tidings.channels.email.relay_check import encryption

    far = EmailSettings(host="relay.example", tls="none")

    assert encryption(far).verdict is Verdict.WARNING
    assert encryption(EmailSettings(host="127.0.0.1", tls="none")).verdict is Verdict.OK
