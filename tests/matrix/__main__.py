"""`make test-matrix`: what faces the broker once more, on the RabbitMQ 4 of Debian 13."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.support.other_rabbitmq import RabbitMQInFolder, build

from tidings.local.errors import LocalStackError

TREE: Final = Path(".local/debian-13").absolute()
TESTS: Final = (
    "tests/integration/broker",
    "tests/integration/worker",
    "tests/integration/dead_letters",
    "tests/integration/test_producer.py",
    "tests/integration/test_producer_losing_its_connection.py",
)


def main() -> int:
    """Build, start, test; arguments are pytest's."""
    tree = Path(os.environ.get("TIDINGS_TEST_RABBITMQ_FOLDER", TREE))
    if os.geteuid() != 0:
        sys.stderr.write("another Debian's RabbitMQ is run with chroot, which only root may do\n")
        return 2
    try:
        build(tree)
        with tempfile.TemporaryDirectory(prefix="tidings-matrix-") as folder:
            return _test(RabbitMQInFolder(tree, Path(folder) / "rabbitmq"), tree)
    except LocalStackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _test(rabbitmq: RabbitMQInFolder, tree: Path) -> int:
    rabbitmq.start()
    sys.stdout.write(f"RabbitMQ {rabbitmq.version} in {tree}\n")
    sys.stdout.flush()
    servers = {
        "TIDINGS_TEST_AMQP_URL": rabbitmq.amqp_url,
        "TIDINGS_TEST_MANAGEMENT_URL": rabbitmq.management_login_url,
        "TIDINGS_TEST_RABBITMQ_FOLDER": str(tree),
    }
    wanted = sys.argv[1:] or ["-q", "-p", "no:xdist"]
    tests = [] if any(word.startswith("tests") for word in wanted) else list(TESTS)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *tests, *wanted],
            env={**os.environ, **servers},
            check=False,
        )
    finally:
        rabbitmq.close()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
