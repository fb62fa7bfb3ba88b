"""The actor of an operation, as recorded in the history."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """The person or program that an operation is done for, e.g. `cli jane@desk`.

    Args:
        face: Which way the request came in: `cli`, `api-key`.
        name: Its name there.
        request: Id of the request; empty if it has none.
    """

    face: str
    name: str
    request: str = ""

    def __str__(self) -> str:
        """As history keeps it."""
        request = f" (request {self.request})" if self.request else ""
        return f"{self.face} {self.name}{request}"


def app_id_of(actor: Actor) -> str:
    """As a message names its producer, for which AMQP has room for 255 bytes (0-9-1, 4.2.5.3)."""
    return f"{actor.face} {actor.name}".encode()[:255].decode(errors="ignore")
