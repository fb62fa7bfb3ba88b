"""A RabbitMQ that shows a certificate: trusted only where somebody vouches for it, by its right name."""

import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from tests.conftest import start_or_skip
from tests.support.broker_rig import SMALL, settings_of

from tidings.broker.connection import BrokerConnection
from tidings.broker.diagnosis import diagnose
from tidings.broker.publisher import BrokerPublisher
from tidings.broker.wire.amqp import connect
from tidings.delivery.errors import BrokerUnavailable, ConfigurationError
from tidings.delivery.ports import Verdict
from tidings_events import Producer, SmsNotification, Unreachable
from tidings_local.ports import LOOPBACK, free_port
from tidings_local.rabbitmq import USER, RabbitMQ

LISTEN = (
    "{{ok, _}} = application:ensure_all_started(ssl), ok = rabbit_networking:start_ssl_listener("
    '{{"{address}", {port}}}, [{{certfile, "{chain}"}}, {{keyfile, "{key}"}}], 2)'
)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(scope="module")
def urls(
    session_rabbitmq: RabbitMQ, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """One RabbitMQ, three listeners, each with a certificate of its own."""
    start_or_skip(session_rabbitmq)
    shown = {
        "right": authority.issue_cert(LOOPBACK),
        "another name": authority.issue_cert("elsewhere.example"),
        "expired": authority.issue_cert(LOOPBACK, not_after=YESTERDAY),
    }
    ports = {name: free_port() for name in shown}
    listening = [
        _listening(ports[name], value, tmp_path_factory.mktemp("listener"))
        for name, value in shown.items()
    ]
    session_rabbitmq.rabbitmqctl("eval", ", ".join(listening) + ".")
    login = f"{USER}:{session_rabbitmq.password}@{LOOPBACK}"
    yield {name: f"amqps://{login}:{port}/" for name, port in ports.items()}
    stops = (
        f'rabbit_networking:stop_tcp_listener({{"{LOOPBACK}", {it}}})' for it in ports.values()
    )
    session_rabbitmq.rabbitmqctl("eval", ", ".join(stops) + ".")


def _listening(port: int, certificate: trustme.LeafCert, folder: Path) -> str:
    chain, key = folder / "chain.pem", folder / "key.pem"
    certificate.private_key_pem.write_to_path(str(key))
    for each in certificate.cert_chain_pems:
        each.write_to_path(str(chain), append=True)
    return LISTEN.format(address=LOOPBACK, port=port, chain=chain, key=key)


async def test_a_broker_with_a_certificate_from_the_given_authority_is_worked_with(
    urls: Mapping[str, str], ca_file: Path
) -> None:
    settings = settings_of(urls["right"], amqp_ca_file=ca_file)
    async with BrokerConnection(settings, "tls", topology=SMALL) as connection:
        publisher = BrokerPublisher(settings, connection)
        await publisher.publish("tidings.notifications", "email.high", b"{}", {})
        trusting = ssl.create_default_context(cafile=ca_file)
        async with Producer(urls["right"], ssl_context=trusting) as producer:
            await producer.publish(SmsNotification(recipient="+14155550123", body="Hello"))


@pytest.mark.parametrize(
    ("shown", "trusted", "message"),
    [
        ("right", False, r"not trusted .*let TIDINGS_AMQP_CA_FILE name"),
        ("another name", True, r"for another name; let TIDINGS_AMQP_URL name it"),
        ("expired", True, r"has expired; renew it"),
    ],
)
async def test_any_other_is_refused_with_what_to_do(
    urls: Mapping[str, str], ca_file: Path, shown: str, trusted: bool, message: str
) -> None:
    settings = settings_of(urls[shown], amqp_ca_file=ca_file if trusted else None)
    with pytest.raises(BrokerUnavailable, match=message):
        await connect(urls[shown], settings, "tls")
    # What only the client library knows: whoever builds a context can ask for anything, no URL can.
    with pytest.raises(BrokerUnavailable, match=message):
        await connect(f"{urls[shown]}?no_verify_ssl=1", settings, "tls")
    [found] = await diagnose(settings, SMALL, [])
    assert (found.verdict, bool(found.remedy)) == (Verdict.FAULT, True)
    context = ssl.create_default_context(cafile=ca_file) if trusted else None
    async with Producer(urls[shown], timeout=1, ssl_context=context) as producer:
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await producer.publish(SmsNotification(recipient="+14155550123", body="Hello"))


async def test_a_producer_is_told_how_to_name_its_own_authority(urls: Mapping[str, str]) -> None:
    async with Producer(urls["right"], timeout=1) as producer:
        with pytest.raises(Unreachable, match=r"pass ssl_context=.*cafile"):
            await producer.publish(SmsNotification(recipient="+14155550123", body="Hello"))


async def test_a_port_that_speaks_no_tls_is_told(own_rabbitmq: RabbitMQ) -> None:
    url = own_rabbitmq.amqp_url.replace("amqp://", "amqps://")
    with pytest.raises(BrokerUnavailable, match="a port for TLS"):
        await connect(url, settings_of(url), "tls")


async def test_an_authority_that_can_not_be_read_is_told_by_its_setting() -> None:
    settings = settings_of("amqps://broker.example", amqp_ca_file=Path(__file__))
    with pytest.raises(ConfigurationError, match="TIDINGS_AMQP_CA_FILE"):
        await connect("amqps://broker.example", settings, "tls")
