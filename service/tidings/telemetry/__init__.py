"""Tells what happens: logs, metrics, health."""

from tidings.telemetry.attempt_log import log_attempt
from tidings.telemetry.http import HealthServer
from tidings.telemetry.logs import configure
from tidings.telemetry.metrics import ChannelMetrics, Metrics

__all__ = ["ChannelMetrics", "HealthServer", "Metrics", "configure", "log_attempt"]
