"""Gives the laptop's own RabbitMQ a name, secrets and ports, the same at every start."""

import secrets
from dataclasses import dataclass

from tidings_local.ports import free_port


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes this server itself again after a restart."""

    node: str
    password: str
    cookie: str
    amqp_port: int
    management_port: int
    distribution_port: int
    epmd_port: int


def identity(notes: dict[str, str]) -> Identity:
    """Who the server was, with ports that are free now; a new one where it never was."""
    ports: list[int] = []
    for name in ("amqp_port", "management_port", "distribution_port", "epmd_port"):
        preferred = int(notes[name]) if name in notes else None
        ports.append(free_port(preferred, avoid=ports))
    return Identity(
        notes.get("node") or f"tidings-{secrets.token_hex(4)}@localhost",
        notes.get("password") or secrets.token_hex(12),
        notes.get("cookie") or secrets.token_hex(20).upper(),
        *ports,
    )
