"""`make test-matrix`: what faces the servers once more, on the RabbitMQ and PostgreSQL of later Debians."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support.other_debian import RELEASES, RabbitMQInFolder, folder_of, postgresql_home

from tidings_local.errors import LocalStackError
from tidings_local.postgres import PostgreSQL

TESTS: Final = (
    "tests/contract/broker",
    "tests/contract/ledger",
    "tests/integration/broker",
    "tests/integration/dead_letters",
    "tests/integration/ledger",
    "tests/integration/reports",
    "tests/integration/security",
    "tests/integration/worker",
    "tests/integration/test_producer.py",
    "tests/integration/test_producer_losing_its_connection.py",
)


def main() -> int:
    """Build, start and test one Debian after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--debian", type=int, action="append", choices=list(RELEASES))
    chosen, arguments = parser.parse_known_args()
    if os.geteuid() != 0:
        sys.stderr.write("another Debian's RabbitMQ is run with chroot, which only root may do\n")
        return 2
    try:
        results = [_on(debian, arguments) for debian in chosen.debian or RELEASES]
    except LocalStackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return max(results)


def _on(debian: int, arguments: Sequence[str]) -> int:
    tree = folder_of(debian)
    with tempfile.TemporaryDirectory(prefix="tidings-matrix-") as folder:
        Path(folder).chmod(0o711)
        rabbitmq = RabbitMQInFolder(tree, Path(folder) / "rabbitmq")
        home = postgresql_home(tree)
        postgresql = PostgreSQL(Path(folder) / "postgresql", home=home, fsync=False)
        try:
            rabbitmq.start()
            postgresql.start()
            version = postgresql.psql("SHOW server_version").split()[0]
            sys.stdout.write(
                f"Debian {debian}: RabbitMQ {rabbitmq.version}, PostgreSQL {version}\n"
            )
            sys.stdout.flush()
            return _test(
                arguments,
                {
                    "TIDINGS_TEST_AMQP_URL": rabbitmq.amqp_url,
                    "TIDINGS_TEST_MANAGEMENT_URL": rabbitmq.management_login_url,
                    "TIDINGS_TEST_DATABASE_URL": postgresql.url(),
                    "TIDINGS_TEST_DEBIAN": str(debian),
                },
            )
        finally:
            postgresql.close()
            rabbitmq.close()


def _test(arguments: Sequence[str], servers: Mapping[str, str]) -> int:
    wanted = arguments or ["-q", "-p", "no:xdist"]
    tests = [] if any(word.startswith("tests") for word in wanted) else list(TESTS)
    command = [sys.executable, "-m", "pytest", *tests, *wanted]
    return subprocess.run(command, env={**os.environ, **servers}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
