"""Why a valid submission is not accepted."""

from uuid import UUID

from tidings.delivery.errors import InvalidRequest, Refused


class IdConflict(Refused):
    """An id belongs to a notification with other content.

    Args:
        id: The notification's.
    """

    def __init__(self, id: UUID) -> None:
        super().__init__(
            f"the id {id} belongs to a notification with other content; give this one an id of its own"
        )
        self.id = id


class IdempotencyKeyReused(InvalidRequest):
    """An Idempotency-Key came with another request before."""

    def __init__(self) -> None:
        super().__init__(
            "this key came with another request before; give each request a key of its own, and repeat it unchanged",
            field="Idempotency-Key",
        )


class IdempotencyKeyInUse(Refused):
    """The same request is under way."""

    def __init__(self) -> None:
        super().__init__("a request with this Idempotency-Key is under way; wait for its answer")
