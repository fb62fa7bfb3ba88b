"""The configuration of the laptop's own RabbitMQ, as its server reads it."""

from typing import Final

CONFIG: Final = """\
# Written by Tidings at every start of its private RabbitMQ; changes here are lost.

# Nothing listens beyond this machine.
listeners.tcp.1 = {address}:{amqp_port}
management.tcp.ip = {address}
management.tcp.port = {management_port}

# The administrator, made at the first start.
default_user = {user}
default_pass = {password}

# A laptop's disk is often nearly full; the default of 50 MB scales with memory on some versions.
disk_free_limit.absolute = 50MB

# Quorum queues keep their write-ahead log in memory too: 64 MiB instead of 512.
raft.wal_max_size_bytes = 67108864

# How often the numbers in the management UI are brought up to date, in milliseconds.
collect_statistics_interval = {statistics_interval}

log.console = true
log.console.level = info
log.file = false
"""

PLUGINS: Final = ("rabbitmq_management",)
"""Those that are enabled."""

# Erlang's distribution stays on loopback.
SERVER_ERLANG: Final = (
    "-kernel inet_dist_use_interface {{127,0,0,1}} {spinning} -rabbit quorum_tick_interval {tick}"
)
SPINNING: Final = "+sbwt very_short +sbwtdcpu none +sbwtdio very_short"
"""Its threads look for work for a moment before they sleep; idle it uses half a percent of one core.

RabbitMQ's own are to sleep at once: of one small message after another that takes a fifth less CPU.
"""
CTL_ERLANG: Final = "-kernel inet_dist_use_interface {127,0,0,1}"
