"""Whether mail arrives at real servers, once, while servers and workers are stopped and killed.

Part of `make test-mta`; `make test` runs it with Postfix and Exim: see `test_postfix_and_exim.py`.
"""

import signal
import socket
import sys
from contextlib import suppress
from email import message_from_bytes
from email.policy import default
from typing import Final

import pytest
from tests.mta.exim import Exim
from tests.mta.haraka import Haraka
from tests.mta.opensmtpd import OpenSmtpd
from tests.mta.postfix import Postfix
from tests.mta.rig import Rig, complaints_in, people
from tests.mta.sendmail import Sendmail
from tests.mta.server import MailServer
from tests.mta.servers import every_server
from tests.support.worker_rig import eventually

MANY: Final = 300
_MAIL: Final = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<good@example.com>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"


@every_server()
async def test_hundreds_of_mails_arrive_once_each(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.server.start()
    ids = await rig.publish(*people("good", MANY))
    async with rig.working():
        seconds = await rig.sent(ids, within=60)
    with capsys.disabled():
        sys.stdout.write(f" {rig.server.name}: {MANY / seconds:.0f} mails/s ")
    assert await rig.twice(ids) == []
    assert set((await rig.attempts(ids)).values()) == {1}
    assert rig.complaints() == []


@every_server()
@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_server_that_ends_in_the_middle_gets_every_mail(rig: Rig, how: str) -> None:
    server = rig.server
    server.start()
    ids = await rig.publish(*people("good", MANY))
    settings = {"TIDINGS_EMAIL_RETRY": "1s 1s 1s 1s 1s 1s 1s 1s", "TIDINGS_EMAIL_RATE": "100/s"}
    async with rig.working(**settings):
        for share in (0.2, 0.5):
            await rig.some_arrived(int(share * MANY))
            if how == "stopped":
                server.stop()
            else:
                server.kill()
            server.start()
        await rig.sent(ids, within=60)
    assert len(await rig.twice(ids)) <= 2 * 10  # what ten connections had in hand, each time
    assert rig.complaints(hung_up=False) == []


@every_server()
async def test_a_worker_killed_in_the_middle_loses_no_mail(rig: Rig) -> None:
    rig.server.start()
    ids = await rig.publish(*people("good", MANY))
    for share in (0.2, 0.5):
        async with rig.working(TIDINGS_EMAIL_RATE="100/s") as worker:
            await rig.some_arrived(int(share * MANY))
            worker.signal(signal.SIGKILL)
            await worker.ended()
    async with rig.working():
        await rig.sent(ids, within=60)
    # twenty being sent, and as many being recorded, each time
    assert len(await rig.twice(ids)) <= 2 * 40
    assert rig.complaints(hung_up=False) == []


@pytest.mark.parametrize(
    "server", [Postfix, Exim, OpenSmtpd, Sendmail], ids=lambda it: it.name, indirect=True
)
async def test_connections_given_up_before_their_greeting_end_with_a_farewell(rig: Rig) -> None:
    rig.server.start()
    async with rig.working(
        TIDINGS_EMAIL_SEND_TIMEOUT="1s", TIDINGS_EMAIL_RETRY="1s 1s 1s 1s 1s 1s"
    ):
        with rig.server.standing_still():
            # As many as every server's queue of new connections has room for.
            ids = await rig.publish(*people("good", 4))
            await rig.some_refused(ids)
        await rig.sent(ids, within=30)
    assert await rig.twice(ids) == []
    assert rig.complaints() == []


@every_server()
async def test_long_lines_and_headers_arrive_as_they_were_published(rig: Rig) -> None:
    rig.server.start()
    lines = [f"{length} " + "x" * (length - 4) for length in (899, 900, 989, 991, 998)]
    token = f"<https://example.com/u/{'y' * 900}/dG9rZW4=?list=news>"
    id = await rig.publish_with(
        "good@example.com",
        "\n".join(lines),
        List_Unsubscribe=token,
        List_Unsubscribe_Post="List-Unsubscribe=One-Click",
    )
    async with rig.working():
        await rig.sent([id], within=30)
    assert await rig.twice([id]) == []
    mail = message_from_bytes(rig.server.mail(id), policy=default)
    assert mail["List-Unsubscribe"].strip() == token
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().rstrip().splitlines() == lines


@pytest.mark.parametrize(
    ("server", "sent"),
    [
        (Postfix, b"EHLO x\r\nMAIL FROM:<a@example.com>\r\n"),
        (Exim, b"EHLO x\r\nMAIL FROM:<a@example.com>\r\n"),
        (OpenSmtpd, b""),
        (Sendmail, b"MAIL FROM:<a@example.com>\r\n"),
        (Haraka, b"EHLO x\r\n" + _MAIL + _MAIL),
    ],
    ids=lambda it: it.name if isinstance(it, type) else "",
    indirect=["server"],
)
async def test_the_log_tells_of_a_client_that_speaks_out_of_turn_or_hangs_up(
    server: MailServer, sent: bytes
) -> None:
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as rude:
        rude.sendall(sent)
        rude.settimeout(2)
        with suppress(TimeoutError, ConnectionError):
            while rude.recv(1000):
                pass
    await eventually(lambda: complaints_in(server.log()))
