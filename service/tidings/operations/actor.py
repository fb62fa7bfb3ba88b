"""The actor of an operation, as recorded in the history."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """The person or program that an operation is done for, e.g. `cli jane@desk`.

    Args:
        face: Which way the request came in: `cli`.
        name: Its name there.
    """

    face: str
    name: str

    def __str__(self) -> str:
        """As history keeps it."""
        return f"{self.face} {self.name}"


def app_id_of(actor: Actor) -> str:
    """As a message names its producer, for which AMQP has room for 255 bytes (0-9-1, 4.2.5.3)."""
    return f"{actor.face} {actor.name}".encode()[:255].decode(errors="ignore")
