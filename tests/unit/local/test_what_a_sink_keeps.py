"""What a sink has received is there again when it is started again in the same folder."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidings_local.sinks.box import Box
from tidings_local.sinks.received_mail import ReceivedMail
from tidings_local.sinks.webhook import ReceivedRequest

NOW = datetime(2026, 11, 22, 12, 0, 0, 7, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sent" / "mails"


def kept_in(file: Path, limit: int = 1000) -> Box[ReceivedMail]:
    box: Box[ReceivedMail] = Box(limit)
    box.keep_in(file, ReceivedMail)
    return box


def mail(body: bytes) -> ReceivedMail:
    return ReceivedMail(NOW, "a@example.com", ("b@example.com",), body, tls=True, user=None)


def test_what_came_before_is_there_byte_for_byte_and_numbers_go_on(file: Path) -> None:
    kept_in(file).add(mail(b"\xff\r\n\x00"))
    again = kept_in(file)
    again.add(mail(b"second"))
    assert kept_in(file).numbered() == [(1, mail(b"\xff\r\n\x00")), (2, mail(b"second"))]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_file_forgets_as_the_box_does(file: Path) -> None:
    box = kept_in(file, limit=2)
    for count in range(5):
        box.add(mail(b"%d" % count))
    assert [number for number, _ in kept_in(file, limit=2).numbered()] == [4, 5]
    assert len(file.read_bytes().splitlines()) == 2


def test_half_a_line_of_somebody_killed_costs_nothing_else(file: Path) -> None:
    kept_in(file).add(mail(b"first"))
    with file.open("ab") as torn:
        torn.write(b'[2,{"at":"2026')
    box = kept_in(file)
    box.add(mail(b"second"))
    assert [it.raw for it in kept_in(file)] == [b"first", b"second"]


def test_what_json_can_t_say_is_kept_only_while_it_runs(file: Path) -> None:
    box: Box[ReceivedRequest] = Box()
    box.keep_in(file, ReceivedRequest)
    box.add(ReceivedRequest(NOW, "POST", "/", {"x-odd": "\udcff"}, b"{}"))
    box.add(ReceivedRequest(NOW, "POST", "/", {}, b"\xff"))
    assert len(box) == 2
    again: Box[ReceivedRequest] = Box()
    again.keep_in(file, ReceivedRequest)
    assert [it.body for it in again] == [b"\xff"]
