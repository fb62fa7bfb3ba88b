"""Keeps a package manager from starting the services of what it installs."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# What Debian's packages ask before they start a service; 101 forbids it:
# https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
POLICY: Final = Path("/usr/sbin/policy-rc.d")
_UNIT_PLACES: Final = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_FORBID: Final = (
    "#!/bin/sh\n# Put here by Tidings while it installs packages; safe to remove.\nexit 101\n"
)


@contextmanager
def installing_without_starting(
    sudo: Sequence[str], units: Sequence[str], policy: Path = POLICY
) -> Iterator[None]:
    """Installs packages inside this block, and no service of theirs starts, now or at a boot.

    Args:
        sudo: What goes before a command that needs root; empty for root itself.
        units: Services that the packages bring; those that are here already are left alone.
        policy: The file that forbids starting.
    """
    if not units:
        yield
        return
    new = [unit for unit in units if not _is_here(unit)]
    ours = _forbid_starting(sudo, policy)
    try:
        yield
        _disable(sudo, new)
    finally:
        if ours:
            _run([*sudo, "rm", "-f", str(policy)])


def _is_here(unit: str) -> bool:
    return any((Path(place) / unit).exists() for place in _UNIT_PLACES)


def _forbid_starting(sudo: Sequence[str], policy: Path) -> bool:
    """Whether the policy is ours to remove; one that another program put there stays."""
    if policy.exists():
        return False
    with tempfile.NamedTemporaryFile("w", suffix="-policy-rc.d") as draft:
        draft.write(_FORBID)
        draft.flush()
        _run([*sudo, "install", "-m", "755", draft.name, str(policy)])
    return True


def _disable(sudo: Sequence[str], units: Sequence[str]) -> None:
    if systemctl := shutil.which("systemctl"):
        for unit in units:
            _run([*sudo, systemctl, "--quiet", "disable", unit])


def _run(command: Sequence[str]) -> None:
    # Best effort: a container without systemd fails here and has no services to start either.
    subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
