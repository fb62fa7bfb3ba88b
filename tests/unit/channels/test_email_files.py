"""Files of a mail, encoded while they are sent."""

import tracemalloc
from random import Random

import pytest
from tests.unit.channels.email_requests import base64, mail, read

from tidings.channels.email.bodies import File, Pieces, joined
from tidings.delivery.ports import Content


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 57 * 1024, 57 * 1024 + 1, 200_000])
def test_a_file_says_how_long_its_base64_is(size: int) -> None:
    file = File(Random(size).randbytes(size))
    assert len(file) == sum(map(len, file))


def test_bytes_without_files_are_bytes() -> None:
    assert joined([b"a", b"b"]) == b"ab"
    assert joined([b"a", Pieces((File(b"x"),)), b"b", b"c"]) == Pieces((b"a", File(b"x"), b"bc"))


def test_a_mail_with_a_large_file_takes_no_memory_of_its_size() -> None:
    content = Random(1).randbytes(3_000_000)
    files = [{"filename": "a.bin", "content": base64(content)}]
    tracemalloc.start()
    try:
        made = mail(Content("text", "subject"), attachments=files)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        length = sum(map(len, made.payload if isinstance(made.payload, Pieces) else []))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length == len(made.payload)
    assert peak - before < 500_000
    [attached] = read(made.payload).iter_attachments()
    assert attached.get_content() == content
