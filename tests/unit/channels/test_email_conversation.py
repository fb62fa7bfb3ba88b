"""Replies are read in their order, however the bytes come, and what is no reply ends the conversation."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import pytest
from aiosmtplib import SMTPServerDisconnected
from hypothesis import given
from hypothesis import strategies as st

from tidings.channels.email.conversation import Conversation, MalformedReply
from tidings.channels.email.replies import SmtpReply


class Wire:
    """Stands for a transport: keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Nothing comes but what a test says."""

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        self.written += data


def conversation(wire: Wire) -> Conversation:
    return Conversation(cast(asyncio.Transport, wire))


REPLIES = (
    (b"250 2.1.0 Ok\r\n", SmtpReply(250, "2.1.0 Ok")),
    (b"550-5.1.1 no such\r\n550 5.1.1 person\r\n", SmtpReply(550, "5.1.1 no such\n5.1.1 person")),
    (b"354\r\n", SmtpReply(354, "")),
    (b"250 gr\xc3\xbc\xc3\x9fe\n", SmtpReply(250, "grüße")),
)


@given(
    chosen=st.lists(st.sampled_from(REPLIES), min_size=1, max_size=6),
    cuts=st.sets(st.integers(1, 150)),
)
async def test_replies_are_the_same_however_the_bytes_are_cut(
    chosen: Sequence[tuple[bytes, SmtpReply]], cuts: set[int]
) -> None:
    talk = conversation(Wire())
    talk.send_commands(*(b"NOOP" for _ in chosen))
    stream = b"".join(raw for raw, _ in chosen)
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]

    for start, end in pairwise(edges):
        talk.data_received(stream[start:end])

    assert [await talk.reply() for _ in chosen] == [reply for _, reply in chosen]
    assert talk.alive
    assert talk.outstanding == 0


@pytest.mark.parametrize(
    "garbage", [b"what?\r\n", b"25\r\n", b"999 odd\r\n", b"250-a\r\n550 b\r\n"]
)
async def test_nothing_is_read_past_what_is_no_reply(garbage: bytes) -> None:
    talk = conversation(Wire())
    talk.send_commands(b"MAIL", b"RCPT", b"DATA")

    talk.data_received(b"250 ok\r\n" + garbage + b"354 go on\r\n")

    assert (await talk.reply()).code == 250
    with pytest.raises(MalformedReply):
        await talk.reply()
    assert not talk.alive


async def test_what_nobody_asked_for_ends_it() -> None:
    """`421 idle too long` must not be taken for the answer to the next mail's first command."""
    talk = conversation(Wire())

    talk.data_received(b"421 4.4.2 idle too long\r\n")

    assert not talk.alive
    with pytest.raises(SMTPServerDisconnected):
        talk.send_commands(b"MAIL FROM:<a@example.org>")


@pytest.mark.parametrize("end", ["\r", "\n", "\0"])
async def test_a_command_is_one_line(end: str) -> None:
    wire = Wire()

    with pytest.raises(ValueError, match="line break"):
        conversation(wire).send_commands(f"RCPT TO:<a@example.org>{end}DATA".encode())

    assert wire.written == b""


async def test_a_reply_waited_for_is_told_lost_with_the_connection() -> None:
    talk = conversation(Wire())
    talk.send_commands(b"NOOP")
    waiting = asyncio.create_task(talk.reply())
    await asyncio.sleep(0)

    talk.connection_lost(None)

    with pytest.raises(SMTPServerDisconnected):
        await waiting


@pytest.mark.parametrize("line", [b"250-and another thing\r\n", b"250-\r\n", b"2"])
async def test_a_reply_without_end_is_cut_short(line: bytes) -> None:
    talk = conversation(Wire())
    talk.send_commands(b"NOOP")

    for _ in range(10):
        talk.data_received(line * (10_000 // len(line)))

    with pytest.raises(MalformedReply, match="more than"):
        await talk.reply()
