"""What is measured, one file each."""

from typing import Final

from benchmarks.workloads.base import Workload
from benchmarks.workloads.w1_no_op import W1
from benchmarks.workloads.w2_email import W2
from benchmarks.workloads.w3_latency import W3
from benchmarks.workloads.w4_failures import W4
from benchmarks.workloads.w5_priority import W5
from benchmarks.workloads.w6_growth import W6
from benchmarks.workloads.w7_scale import W7
from benchmarks.workloads.w8_replay import W8
from benchmarks.workloads.w9_publish import W9
from benchmarks.workloads.w10_accept import W10
from benchmarks.workloads.w11_inbox import W11
from benchmarks.workloads.w12_retention import W12
from benchmarks.workloads.w13_reading import W13
from benchmarks.workloads.w14_inbox import W14
from benchmarks.workloads.w15_console import W15

WORKLOADS: Final[tuple[Workload, ...]] = (
    *(W1, W2, W3, W4, W5, W7, W8, W9, W10, W11, W14, W6, W12, W13, W15),
)
"""In the order in which they are run: what takes longest comes last, should time run out."""
