"""A RabbitMQ of our own, started, stopped and killed for real."""

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from tests.support.local_servers import is_gone, listening_addresses, processes_about, silent

from tidings_local.errors import LocalStackError, NotInstalled, StartFailed
from tidings_local.ports import LOOPBACK
from tidings_local.rabbitmq import RabbitMQ
from tidings_local.waiting import wait_until

QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}


async def put(url: str, queue: str, body: bytes) -> None:
    """Declares a quorum queue and puts one persistent message into it, confirmed."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(queue, durable=True, arguments=QUORUM)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, queue)


async def take(url: str, queue: str) -> bytes:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        found = await channel.get_queue(queue)
        message = await found.get(timeout=10)
        await message.ack()
        return message.body


def ports(rabbitmq: RabbitMQ) -> list[int]:
    notes = json.loads((rabbitmq.log.parent / "identity.json").read_text())
    return [int(value) for name, value in notes.items() if name.endswith("_port")]


@pytest.fixture
def broken_home(tmp_path: Path) -> Path:
    """A RabbitMQ that can't start: its server is a script, which a test writes."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "rabbitmq-env").touch()
    return tmp_path


def write_server(home: Path, script: str) -> None:
    server = home / "sbin" / "rabbitmq-server"
    server.write_text(f"#!/bin/sh\n{script}\n")
    server.chmod(0o755)


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


async def test_what_was_confirmed_survives_a_crash(own_rabbitmq: RabbitMQ) -> None:
    url, pid = own_rabbitmq.amqp_url, own_rabbitmq.pid
    await put(url, "crash", b"before")
    own_rabbitmq.settle()
    await put(url, "crash", b"still here")
    assert await take(url, "crash") == b"before"
    own_rabbitmq.kill()
    assert (own_rabbitmq.running(), own_rabbitmq.pid) == (False, None)
    assert silent(*ports(own_rabbitmq))
    own_rabbitmq.start()
    assert own_rabbitmq.amqp_url == url, "clients reconnect to where they were connected"
    assert own_rabbitmq.pid != pid
    assert await take(url, "crash") == b"still here"


async def test_what_was_confirmed_survives_a_restart(own_rabbitmq: RabbitMQ) -> None:
    await put(own_rabbitmq.amqp_url, "restart", b"still here")
    own_rabbitmq.restart()
    assert await take(own_rabbitmq.amqp_url, "restart") == b"still here"


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_nothing_listens_beyond_this_machine(own_rabbitmq: RabbitMQ) -> None:
    opened = [listening_addresses(port) for port in ports(own_rabbitmq)]
    assert opened == [{"0100007F"}] * 4


def test_secrets_are_readable_by_their_owner_only(own_rabbitmq: RabbitMQ) -> None:
    directory = own_rabbitmq.log.parent
    for name in ("identity.json", "rabbitmq.conf", "home/.erlang.cookie"):
        assert stat.S_IMODE((directory / name).stat().st_mode) & 0o077 == 0, name
    assert stat.S_IMODE((directory / "data").stat().st_mode) == 0o700


def test_rabbitmqctl_speaks_to_it(own_rabbitmq: RabbitMQ) -> None:
    assert own_rabbitmq.user in own_rabbitmq.rabbitmqctl("list_users")
    with pytest.raises(
        LocalStackError, match=r"rabbitmqctl delete_user nobody failed: (?s:.*)not exist"
    ):
        own_rabbitmq.rabbitmqctl("delete_user", "nobody")


def test_starting_it_twice_does_nothing(own_rabbitmq: RabbitMQ) -> None:
    pid = own_rabbitmq.pid
    own_rabbitmq.start()
    assert own_rabbitmq.pid == pid


def test_its_threads_sleep_at_once_in_tests(own_rabbitmq: RabbitMQ) -> None:
    """As RabbitMQ has it by itself: a fifth of its CPU."""
    assert "very_short" not in Path(f"/proc/{own_rabbitmq.pid}/cmdline").read_text()


async def test_it_moves_where_a_port_was_taken_meanwhile_and_keeps_its_data(
    server_directory: Path, busy_port: int
) -> None:
    directory = server_directory / "moving"
    first = RabbitMQ(directory)
    first.start()
    try:
        await put(first.amqp_url, "moved", b"still here")
    finally:
        first.stop()
    notes = json.loads((directory / "identity.json").read_text())
    (directory / "identity.json").write_text(json.dumps(notes | {"amqp_port": str(busy_port)}))
    second = RabbitMQ(directory)
    second.start()
    try:
        assert second.amqp_port != busy_port
        assert f":{notes['management_port']}" in second.management_url
        assert await take(second.amqp_url, "moved") == b"still here"
    finally:
        second.stop()
    assert wait_until(lambda: processes_about(directory) == [], 5), "it left processes behind"


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path, broken_home: Path) -> None:
    write_server(broken_home, "echo the moon is in the wrong house; exit 7")
    rabbitmq = RabbitMQ(tmp_path / "data", home=broken_home)
    with pytest.raises(StartFailed, match="ended with status 7") as failure:
        rabbitmq.start()
    assert "    the moon is in the wrong house" in str(failure.value)
    assert str(rabbitmq.log) in str(failure.value)
    assert silent(*ports(rabbitmq)), "the port mapper was left running"


def test_a_server_that_never_becomes_ready_is_ended(tmp_path: Path, broken_home: Path) -> None:
    write_server(broken_home, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    rabbitmq = RabbitMQ(tmp_path / "data", home=broken_home, start_limit=0.5)
    with pytest.raises(StartFailed, match=r"was not ready within 0\.5s"):
        rabbitmq.start()
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_where_it_is_not_installed_the_way_out_is_named(tmp_path: Path) -> None:
    rabbitmq = RabbitMQ(tmp_path / "data", home=tmp_path)
    with pytest.raises(NotInstalled, match=r"RabbitMQ is not installed .*tidings_local\.packages"):
        rabbitmq.start()


def test_it_has_no_address_before_it_was_started(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="has not been started yet"):
        _ = RabbitMQ(tmp_path / "data").amqp_url


def test_damaged_notes_are_named(tmp_path: Path, broken_home: Path) -> None:
    write_server(broken_home, "exit 1")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "identity.json").write_text("[]")
    with pytest.raises(LocalStackError, match=r"identity\.json is damaged"):
        RabbitMQ(tmp_path / "data", home=broken_home).start()


def test_erlang_looks_for_modules_among_the_plugins_that_run_only(own_rabbitmq: RabbitMQ) -> None:
    looked_in = own_rabbitmq.rabbitmqctl("eval", "code:get_path().")
    assert "/plugins/rabbitmq_management-" in looked_in
    assert "/plugins/rabbitmq_shovel-" not in looked_in
