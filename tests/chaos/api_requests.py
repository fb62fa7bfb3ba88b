"""Requests to the API: the producers' notifications singly, one content for many, in batches, all or none."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.load import Item, Writer

ONE: Final = "/v1/notifications"
BATCH: Final = "/v1/notifications/batch"
ATOMIC: Final = f"{BATCH}?atomic=true"
FORMS: Final = {"one": 64, "recipients": 12, "batch": 12, "atomic": 12}
"""What requests are made of, in parts of a hundred."""
MIX: Final = {
    "plain": 72,
    "busy": 4,
    "reject": 3,
    "brief": 4,
    "scheduled": 6,
    "twin": 4,
    "sms": 7,
}
ADDRESSED: Final = ("plain", "plain", "plain", "busy", "reject")
"""Kinds that differ by their recipient alone."""
MOST: Final = 8
"""Notifications of a request, at most."""
LEAVES: Final = 0.08
"""Part of the callers that hang up after the body, and repeat their request."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to accept notifications, and what it is to become."""

    key: str
    """Its Idempotency-Key."""
    path: str
    body: bytes
    items: tuple[Item, ...]
    """By their place in it."""
    leaves: bool = False
    """Whether its caller hangs up after the body, the first time."""


class RequestWriter:
    """Writes requests, the same ones for the same seed.

    Args:
        writer: Writes the notifications in them.
    """

    def __init__(self, seed: int, writer: Writer) -> None:
        self._random = random.Random(seed)
        self._writer = writer
        self._forms = [form for form, parts in FORMS.items() for _ in range(parts)]
        self._kinds = [kind for kind, parts in MIX.items() for _ in range(parts)]

    def requests(self, count: int | None = None) -> Iterator[ApiRequest]:
        """For so many notifications in all, or without end; each is written when it is asked for: some are due soon."""
        while count is None or count > 0:
            form = self._random.choice(self._forms)
            most = MOST if count is None else min(MOST, count)
            size = 1 if form == "one" else self._random.randint(1, most)
            yield self._request(form, size)
            count = None if count is None else count - size

    def _request(self, form: str, size: int) -> ApiRequest:
        kinds: Sequence[str] = ADDRESSED if form == "recipients" else self._kinds
        items = tuple(self._writer.item(self._random.choice(kinds)) for _ in range(size))
        fields = [_fields(item) for item in items]
        content: Mapping[str, Any]
        match form:
            case "one":
                path, [content] = ONE, fields
            case "recipients":
                recipients = [each.pop("recipient") for each in fields]
                path, content = ONE, {**fields[0], "recipients": recipients}
            case _:
                path = ATOMIC if form == "atomic" else BATCH
                content = {"notifications": fields}
        key = f"request-{self._random.getrandbits(64):016x}"
        leaves = self._random.random() < LEAVES
        return ApiRequest(key, path, json.dumps(content).encode(), items, leaves)


def _fields(item: Item) -> dict[str, Any]:
    """A notification as it is submitted: the API gives it an id, where no text refers to the one that it has."""
    fields: dict[str, Any] = json.loads(item.body)
    if fields["channel"] == "email":
        del fields["id"]
    return fields
