"""File systems that are soon full. They need root, as RabbitMQ's own node here does."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tests.chaos.world import World

from tidings_local.postgres_programs import unprivileged_account


@asynccontextmanager
async def small_disk(folder: Path, size: str, **options: str) -> AsyncIterator[Path]:
    """A new file system in a new folder; both are gone at the end.

    Args:
        size: As `mount` takes it: `64k`.
        options: More of tmpfs's own, such as `uid`.
    """
    await asyncio.to_thread(folder.mkdir)
    mount_options = ",".join(f"{name}={value}" for name, value in {"size": size, **options}.items())
    await asyncio.to_thread(
        subprocess.run,
        ["mount", "-t", "tmpfs", "-o", mount_options, "tmpfs", str(folder)],
        check=True,
    )
    try:
        yield folder
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
        await asyncio.to_thread(folder.rmdir)


def full(disk: Path) -> bool:
    """Whether nothing more can be written."""
    return os.statvfs(disk).f_bavail == 0


def fill(file: Path) -> None:
    """Take all the room there is."""
    with suppress(OSError), file.open("wb") as filler:
        while True:
            filler.write(bytes(65536))


@asynccontextmanager
async def tables_on_small_disk(made: World) -> AsyncIterator[Path]:
    """The tables that every notification is written to lie on a disk of 64 MiB meanwhile."""
    account = unprivileged_account()
    owner = str(account.uid if account else os.geteuid())
    # Beside the server's data, since its user can't reach a run's folder.
    place = made.servers.postgresql.directory / "small"
    async with small_disk(place, "64m", uid=owner, mode="700"), _tables_on(made, place):
        yield place


@asynccontextmanager
async def _tables_on(made: World, disk: Path) -> AsyncIterator[None]:
    """The tables that every notification is written to lie on that disk meanwhile."""
    database = urlsplit(made.database_url).path.removeprefix("/")
    psql = partial(asyncio.to_thread, made.servers.postgresql.psql)

    async def move(space: str) -> None:
        for table in ("notifications", "attempts", "transitions"):
            # With its partitions, and those that a scheduler makes meanwhile.
            tree = f"SELECT relid::regclass FROM pg_partition_tree('{table}')"  # noqa: S608
            for part in (await psql(tree, database)).split():
                await psql(f"ALTER TABLE {part} SET TABLESPACE {space}", database)

    await psql(f"CREATE TABLESPACE small LOCATION '{disk}'")
    await move("small")
    try:
        yield
    finally:
        await move("pg_default")
        await psql("DROP TABLESPACE small")
