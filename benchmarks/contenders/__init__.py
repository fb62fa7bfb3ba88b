"""Who takes part: Tidings first, then the bare loops, then the peers."""

from collections.abc import Sequence
from typing import Final

from benchmarks.contenders.bare import BareLoop, BareLoopWithRow
from benchmarks.contenders.base import Contender
from benchmarks.contenders.celery import Celery
from benchmarks.contenders.dramatiq import Dramatiq
from benchmarks.contenders.faststream import FastStream
from benchmarks.contenders.taskiq import Taskiq
from benchmarks.contenders.tidings import Tidings

CONTENDERS: Final[Sequence[Contender]] = (
    Tidings(),
    BareLoop(),
    BareLoopWithRow(),
    Dramatiq(),
    FastStream(),
    Taskiq(),
    Celery(),
)
