"""Measures what reading heavy messages takes: `python -m tests.support.peak_memory OPERATION MESSAGE…`.

Each is read in a child of its own, whose peak is reset when the message has been made.
"""

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from typing import Final
from uuid import UUID

from rich.console import Console
from tests.support.heavy_bodies import HEAVY

from tidings.broker.consumer import BrokerDelivery
from tidings.broker.dead_letters import read_dead_letter
from tidings.broker.wire.settlement import Settlement
from tidings.cli.dead_letter_views import dead_letter_details
from tidings.delivery.attempt import Lane, Message, read
from tidings.delivery.errors import MalformedNotification, Refused
from tidings.ledger.dead_letters.rows import StoredDeadLetter
from tidings.operations.dead_letters.body import checked, difference, readable, with_fields
from tidings.operations.dead_letters.lookup import in_full

NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
MIB: Final = 1024 * 1024


def _worker(body: bytes) -> None:
    channel = body.partition(b'"channel":"')[2].partition(b'"')[0].decode()
    with suppress(MalformedNotification):
        read(Message(body, f"{channel}.normal"), Lane(channel, "normal"))


def _archive(body: bytes) -> None:
    message = Message(body, "email.normal")
    # Whoever reads settles nothing.
    settlement: Settlement = object.__new__(Settlement)
    read_dead_letter(
        BrokerDelivery(message, "tidings.dead", "", False, 1, settlement), channels=["email"]
    )


def _show(body: bytes) -> None:
    row: dict[str, object] = dict.fromkeys(StoredDeadLetter.__slots__)
    del row["failure"]
    row |= {
        "id": UUID(int=1),
        "state": "open",
        "reason": "malformed",
        "kind": "malformed",
        "message": "",
        "provider": "",
        "code": "",
        "headers": "{}",
        "properties": "{}",
        "size": len(body),
        "attempts": 0,
        **dict.fromkeys(
            ("first_failed_at", "last_failed_at", "dead_lettered_at", "changed_at"), NOW
        ),
        **dict.fromkeys(("exchange", "routing_key", "fingerprint"), ""),
    }
    dead_letter = StoredDeadLetter.of(row)
    with Path(os.devnull).open("w") as nowhere:
        for reveal in (False, True):
            Console(file=nowhere).print(
                dead_letter_details(in_full(dead_letter, body, [], NOW, reveal=reveal), NOW)
            )


def _edit(body: bytes) -> None:
    try:
        after = with_fields(body, ["recipient=ada@example.com"])
        checked(after)
    except Refused:
        after = readable(body).encode()
    list(difference(body, after))


OPERATIONS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "worker": _worker,
    "archive": _archive,
    "show": _show,
    "edit": _edit,
}


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def _measured(work: Callable[[bytes], None], make: Callable[[], bytes]) -> tuple[float, float]:
    """MiB at the peak beyond what was there before, the message included; and seconds."""
    body = make()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = _status("VmRSS"), process_time()
    work(body)
    return _status("VmHWM") - before + len(body) / MIB, process_time() - started


def main() -> None:
    """Print a JSON object: by message, MiB and seconds."""
    _, operation, *names = sys.argv
    work = OPERATIONS[operation]
    work(HEAVY["labels of a small body"]())  # loads what is loaded at the first use
    gc.freeze()
    found = {}
    for name in names:
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, json.dumps(_measured(work, HEAVY[name])).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            found[name] = json.loads(answer.read() or "null")
        os.wait()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
