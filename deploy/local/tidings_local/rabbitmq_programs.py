"""Finds RabbitMQ's own programs on this machine."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidings_local.errors import NotInstalled

# Debian's /usr/sbin wrappers change to the system user and the system's files, so they are no use
# for a private server; the scripts they wrap are.
_PLACES = (
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    "/usr/lib64/rabbitmq/lib/rabbitmq_server-*/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/opt/rabbitmq/sbin",
)
_ERLANG_PLACES = ("/usr/bin", "/opt/homebrew/bin", "/usr/local/bin", "/usr/lib/erlang/bin")


@dataclass(frozen=True, slots=True)
class RabbitMQPrograms:
    """Where the programs are."""

    sbin: Path
    """The directory of `rabbitmq-server` and `rabbitmqctl`."""
    erl: Path
    epmd: Path
    version: str
    """E.g. `3.10.8`; empty where the installation doesn't tell."""


def find_rabbitmq(home: Path | None = None) -> RabbitMQPrograms:
    """RabbitMQ's programs; the newest where there are several.

    Args:
        home: The directory that holds `sbin/rabbitmq-server`, instead of the usual places.

    Raises:
        NotInstalled: RabbitMQ, or the Erlang it runs on, is not there.
    """
    candidates = [home / "sbin", home] if home else list(_usual_places())
    found = [sbin for sbin in candidates if _is_installation(sbin)]
    if not found:
        raise NotInstalled("RabbitMQ", _looked(home))
    sbin = max(found, key=lambda place: version_key(_version(place)))
    erl = _find_erl()
    return RabbitMQPrograms(sbin, erl, _find_epmd(erl), _version(sbin))


def version_key(version: str) -> tuple[int, ...]:
    """Something that sorts `3.9.1` before `3.10.8`."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _usual_places() -> Iterator[Path]:
    for pattern in _PLACES:
        yield from Path("/").glob(pattern.removeprefix("/"))
    if on_path := shutil.which("rabbitmq-server"):
        yield Path(on_path).resolve().parent


def _is_installation(sbin: Path) -> bool:
    return (
        os.access(sbin / "rabbitmq-server", os.X_OK)
        and (sbin / "rabbitmq-env").exists()
        and (sbin.parent / "plugins").is_dir()
    )


def _version(sbin: Path) -> str:
    names = sorted(path.name for path in (sbin.parent / "plugins").glob("rabbit-[0-9]*"))
    match = re.match(r"rabbit-([\d.]+\d)", names[-1]) if names else None
    return match[1] if match else ""


def _find_erl() -> Path:
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), *_ERLANG_PLACES])
    erl = shutil.which("erl", path=search)
    if erl is None:
        raise NotInstalled("Erlang, which RabbitMQ runs on,", "PATH")
    return Path(erl)


def _find_epmd(erl: Path) -> Path:
    root = erl.resolve().parent.parent
    places = [erl.parent / "epmd", root / "bin" / "epmd", *sorted(root.glob("erts-*/bin/epmd"))]
    for place in places:
        if os.access(place, os.X_OK):
            return place
    raise NotInstalled("epmd, a part of Erlang,", ", ".join(str(place.parent) for place in places))


def _looked(home: Path | None) -> str:
    return str(home) if home else f"PATH, {', '.join(_PLACES)}"
