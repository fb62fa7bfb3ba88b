"""What a run was made on."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


def machine() -> dict[str, str]:
    """Its processor, memory and system."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory_gb():.0f} GB",
        "system": _system(),
        "kernel": platform.release(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


@dataclass(frozen=True, slots=True)
class Cores:
    """What all cores have done since the machine started, in clock ticks (proc(5), /proc/stat)."""

    total: int
    stolen: int
    """Wanted here, and given by the host to other machines."""

    def stolen_since(self, before: "Cores") -> float:
        """As a share of all."""
        return (self.stolen - before.stolen) / max(1, self.total - before.total)


def cores() -> Cores:
    """Until now."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return Cores(sum(ticks), ticks[7])


def own_versions() -> dict[str, str]:
    """Of what Tidings runs on."""
    names = ("tidings", "aio-pika", "aiormq", "asyncpg", "pydantic", "uvloop")
    return {"Python": platform.python_version(), **{name: version(name) for name in names}}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory_gb() -> float:
    """All there is, in GiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()
