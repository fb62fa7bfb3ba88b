"""Measures the email channel: mails built a second, and mails handed to a relay that costs nothing.

    python -m benchmarks.email_throughput [--mails 5000] [--connections 10] [--concurrency 50]

The relay is a process of its own that takes everything and keeps nothing.
"""

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from multiprocessing.connection import Connection
from uuid import uuid4

import uvloop

from benchmarks.own_sink import Session
from tidings.channels.email.addresses import Mailbox
from tidings.channels.email.channel import EmailChannel
from tidings.channels.email.message import compose
from tidings.channels.email.settings import EmailSettings
from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.ports import Content, SendRequest
from tidings_events import EmailNotification

SENDER = Mailbox("no-reply@tidings.example", "Tidings")
TEXT = "Dear Anna,\n\nyour order 10042 is on its way and should reach you on Friday.\n\n" * 6
HTML = f"<html><body><h1>Your order</h1><p>{TEXT}</p></body></html>\n"
CONTENTS = {
    "text": Content(TEXT, "Your order 10042 is on its way"),
    "text and HTML": Content(TEXT, "Your order 10042 is on its way", HTML),
    "text and HTML beyond ASCII": Content(TEXT + "Grüße", "Ihre Bestellung läuft", HTML + "Grüße"),
}


def serve(port: Connection) -> None:
    """The sink's process."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Session({}), "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def requests(content: Content, count: int) -> Iterator[SendRequest]:
    """Attempts at different notifications with the same words."""
    for _ in range(count):
        notification = EmailNotification(
            id=uuid4(), recipient="anna@example.org", subject="s", body="b"
        )
        attempt = Attempt(notification, b"", Lane("email", "normal"), 0, 1, datetime.now(UTC))
        yield SendRequest(attempt, content, 30.0)


def by_the_library(request: SendRequest) -> bytes:
    """The same mail by `EmailMessage`, for comparison."""
    made = EmailMessage(policy=SMTP)
    made["From"] = "Tidings <no-reply@tidings.example>"
    made["To"] = request.notification.recipient
    made["Subject"] = request.content.subject
    made.set_content(request.content.text)
    if request.content.html:
        made.add_alternative(request.content.html, subtype="html")
    return made.as_bytes()


def rate(make: Callable[[SendRequest], object], content: Content, count: int) -> float:
    """Mails made a second."""
    ready = list(requests(content, count))
    began = time.perf_counter()
    for request in ready:
        make(request)
    return count / (time.perf_counter() - began)


async def send(port: int, content: Content, options: argparse.Namespace) -> float:
    """Mails handed over a second."""
    settings = EmailSettings(
        host="127.0.0.1",
        port=port,
        tls="none",
        sender="Tidings <no-reply@tidings.example>",
        connections=options.connections,
        messages_per_connection=500,
    )
    channel = EmailChannel(settings)
    ready = requests(content, options.mails)
    began = time.perf_counter()

    async def keep_sending() -> None:
        for request in ready:
            await channel.send(request)

    async with asyncio.TaskGroup() as group:
        for _ in range(options.concurrency):
            group.create_task(keep_sending())
    took = time.perf_counter() - began
    await channel.close()
    return float(options.mails / took)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--mails", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--concurrency", type=int, default=50)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    sink = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    sink.start()
    port = ours.recv()
    for name, content in CONTENTS.items():
        built = rate(lambda each: compose(each, SENDER, datetime.now(UTC)), content, options.mails)
        library = rate(by_the_library, content, options.mails // 10)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sent = runner.run(send(port, content, options))
        print(f"{name}: {built:,.0f} built/s ({library:,.0f} by the library), {sent:,.0f} sent/s")
    sink.terminate()
    sink.join()


if __name__ == "__main__":
    main()
