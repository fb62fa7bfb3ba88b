"""Whatever ends `tidings up`, its roles end too: left alone they would take what a next one publishes."""

import subprocess
import sys
from pathlib import Path

from tests.support.processes import environment

from tidings_local.waiting import wait_until

STARTS_ROLES = """
import asyncio, os, sys
from pathlib import Path
from tidings_local.laptop import Laptop

async def main():
    async with Laptop(Path(sys.argv[1]), os.environ) as laptop:
        await laptop.start_roles()
        print(laptop._roles.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_roles_end_with_who_started_them_though_it_is_killed(
    tmp_path: Path, broker_url: str, empty_database_url: str
) -> None:
    servers = {"TIDINGS_AMQP_URL": broker_url, "TIDINGS_DATABASE_URL": empty_database_url}
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_ROLES, str(tmp_path)],
        env={**environment(), **servers},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        roles = int(process.stdout.readline())
        process.kill()
    assert wait_until(lambda: not Path(f"/proc/{roles}").exists(), 30)
