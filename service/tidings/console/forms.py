"""Reads the forms that pages send."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from tidings.delivery.errors import InvalidRequest

MOST_FIELDS: Final = 2_000
"""Ticked rows count one each."""
LONGEST: Final = 4 * 1024 * 1024
"""Bytes of a form: a body that is edited may have megabytes."""
PATIENCE: Final = 30.0
"""Seconds within which a form must have arrived: whoever sends it slowly holds one of the process's requests."""
FORM: Final = "application/x-www-form-urlencoded"


class Form(Mapping[str, str]):
    """The fields of a form; of one that came several times, the last."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._pairs = tuple(pairs)
        self._last = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    @property
    def pairs(self) -> Sequence[tuple[str, str]]:
        """Names and values, as they were sent."""
        return self._pairs

    def text(self, name: str) -> str:
        """A field without the blanks around it; empty if it is missing."""
        return self._last.get(name, "").strip()

    def all(self, name: str) -> list[str]:
        """Every value of a field that may come several times, such as ticked rows."""
        return [value for key, value in self._pairs if key == name]

    def reason(self) -> str:
        """The note of an action that stops something for others, and that nobody should press by mistake.

        Raises:
            InvalidRequest: It is empty.
        """
        if not (note := self.text("note")):
            raise InvalidRequest("give a reason in a few words", field="note")
        return note

    def ticked(self, name: str) -> bool:
        """Whether a checkbox was ticked."""
        return name in self._last


async def read_form(request: Request, longest: int = LONGEST, patience: float = PATIENCE) -> Form:
    """The form of a request.

    Args:
        request: That sends it.
        longest: Bytes of it, at most.
        patience: Seconds within which it must have arrived.

    Raises:
        InvalidRequest: It is none, too long, or does not arrive.
    """
    return form_of(await form_body(request, longest, patience))


def form_of(body: bytes) -> Form:
    """The form that a body has.

    Raises:
        InvalidRequest: It has none.
    """
    try:
        # Browsers send line breaks as CRLF (HTML, 4.10.21.8).
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            max_num_fields=MOST_FIELDS,
            errors="strict",
        )
    except ValueError:
        raise InvalidRequest("it can't be read", field="form") from None
    return Form([(name, value.replace("\r\n", "\n")) for name, value in pairs])


async def form_body(request: Request, longest: int, patience: float) -> bytes:
    """The form of a request as it was sent.

    Args:
        request: That sends it.
        longest: Bytes of it, at most.
        patience: Seconds within which it must have arrived.

    Raises:
        InvalidRequest: It is none, too long, or does not arrive.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidRequest(f"send a form ({FORM})", field="Content-Type")
    body = bytearray()
    try:
        async with asyncio.timeout(patience):
            async for part in request.stream():
                body += part
                if len(body) > longest:
                    raise InvalidRequest(f"it is longer than {longest >> 10:,} KiB", field="form")
    except TimeoutError:
        raise InvalidRequest(f"it did not arrive within {patience:g} s", field="form") from None
    except ClientDisconnect:
        raise InvalidRequest(
            "the connection was closed before it had arrived", field="form"
        ) from None
    return bytes(body)
