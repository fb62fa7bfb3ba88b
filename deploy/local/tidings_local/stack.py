"""Starts RabbitMQ and PostgreSQL together, and runs until it is stopped."""

import argparse
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from tidings_local.errors import LocalStackError
from tidings_local.postgres import PostgreSQL
from tidings_local.rabbitmq import RabbitMQ


class Stack:
    """Both servers under one directory. Use it with `with`."""

    def __init__(self, data: Path, *, for_tests: bool = False) -> None:
        """Starts nothing yet.

        Args:
            data: The directory for everything they write.
            for_tests: Numbers in the management API twice a second, and no fsync in PostgreSQL.
        """
        interval = 0.5 if for_tests else 5.0
        self.rabbitmq = RabbitMQ(data / "rabbitmq", statistics_interval=interval)
        self.postgresql = PostgreSQL(data / "postgresql", fsync=not for_tests)

    def start(self) -> None:
        """Starts both at once; where one fails the other is stopped again. Raises what it raised."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            starts = [pool.submit(self.rabbitmq.start), pool.submit(self.postgresql.start)]
        try:
            for start in starts:
                start.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops both in good order."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            stops = [pool.submit(self.rabbitmq.stop), pool.submit(self.postgresql.stop)]
        for stop in stops:
            stop.result()

    def test_environment(self) -> dict[str, str]:
        """What makes a run of the tests use these servers instead of starting its own."""
        return {
            "TIDINGS_TEST_AMQP_URL": self.rabbitmq.amqp_url,
            "TIDINGS_TEST_MANAGEMENT_URL": self.rabbitmq.management_login_url,
            "TIDINGS_TEST_DATABASE_URL": self.postgresql.url(),
        }

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def main() -> int:
    """Runs a stack for the tests, and prints the variables that make them use it."""
    parser = argparse.ArgumentParser(
        prog="python -m tidings_local.stack",
        description="Start RabbitMQ and PostgreSQL for the tests, and stay until SIGTERM or Ctrl-C.",
        epilog="example: python -m tidings_local.stack --data .local/tests > .local/tests.env",
    )
    parser.add_argument("--data", type=Path, required=True, help="directory for what they write")
    data = parser.parse_args().data
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        with Stack(data, for_tests=True) as stack:
            for name, value in stack.test_environment().items():
                sys.stdout.write(f"export {name}='{value}'\n")
            sys.stdout.flush()
            ended.wait()
    except LocalStackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
