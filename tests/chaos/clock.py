"""A clock that jumps: a small library, put before libc's, that adds what a file says to the time.

Only the clock of the day is moved; the monotonic one, by which timeouts are measured, can't jump on
a real machine either.
"""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) offset = page;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, which, now);
    if (!result && offset && which == CLOCK_REALTIME) now->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *store) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (store) *store = precise.tv_sec;
    return precise.tv_sec;
}
"""


class NoCompiler(Exception):
    """There is no C compiler, so no clock can be moved."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Moves the clocks of the processes that were started with `env`."""

    library: Path
    offset: Path

    @property
    def env(self) -> dict[str, str]:
        """For a process."""
        return {"LD_PRELOAD": str(self.library), "CHAOS_CLOCK": str(self.offset)}

    def jump(self, seconds: int) -> None:
        """From now on their clocks are so many seconds off."""
        with self.offset.open("r+b") as file:
            file.write(struct.pack("l", seconds))


@contextmanager
def skewed(folder: Path) -> Iterator[Clock]:
    """A clock that is right at first.

    Raises:
        NoCompiler: It can't be built on this machine.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("there is no C compiler (cc): install one, or leave this scenario out")
    source, library, offset = (folder / name for name in ("clock.c", "clock.so", "clock.offset"))
    source.write_text(SOURCE)
    offset.write_bytes(struct.pack("l", 0))
    subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True
    )
    clock = Clock(library, offset)
    try:
        yield clock
    finally:
        clock.jump(0)
