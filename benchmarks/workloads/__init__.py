"""What is measured, one file each."""

from typing import Final

from benchmarks.workloads.base import Workload
from benchmarks.workloads.w1_no_op import W1
from benchmarks.workloads.w2_email import W2

WORKLOADS: Final[tuple[Workload, ...]] = (W1, W2)
