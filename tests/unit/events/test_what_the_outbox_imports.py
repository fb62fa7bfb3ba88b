"""Adding to an outbox needs no more than the notification's model."""

import subprocess
import sys

PROGRAM = """
import sys
from tidings_events.outbox import add, add_sync, install_sql
loaded = {"asyncpg", "aiormq", "pamqp", "sqlalchemy", "psycopg"} & {*sys.modules}
assert not loaded, loaded
from tidings_events.outbox import OutboxRelay
assert "asyncpg" in sys.modules
"""


def test_adding_loads_neither_a_driver_nor_amqp() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], check=True)
