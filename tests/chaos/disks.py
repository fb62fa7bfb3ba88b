"""File systems that are soon full. They need root, as RabbitMQ's own node here does."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def small_disk(folder: Path, size: str, **options: str) -> AsyncIterator[Path]:
    """A new file system in a new folder, unmounted at the end.

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


def full(disk: Path) -> bool:
    """Whether nothing more can be written."""
    return os.statvfs(disk).f_bavail == 0
