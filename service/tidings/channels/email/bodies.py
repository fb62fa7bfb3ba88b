"""MIME parts of a mail: text in a suitable encoding, files in base64, and multiparts.

A file may be most of a mail, so it is encoded only while it is sent.
"""

import binascii
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from tidings.channels.email.headers import TOO_LONG, parameter
from tidings.delivery.value import value
from tidings_events import Attachment

_BASE64_LINE: Final = 76
_OCTETS: Final = 57
"""Bytes encoded in one line of base64."""
_AT_ONCE: Final = _OCTETS * 1024
"""Bytes of a file encoded in one go."""


@value(frozen=True, slots=True)
class File:
    """A file that is encoded as base64 while it is sent; `len` is the encoded length."""

    octets: bytes

    def __len__(self) -> int:
        size = len(self.octets)
        return (size + 2) // 3 * 4 + 2 * ((size + _OCTETS - 1) // _OCTETS)

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self.octets), _AT_ONCE):
            yield _base64(self.octets[start : start + _AT_ONCE])


@value(frozen=True, slots=True)
class Pieces:
    """Bytes and files in order; two items of bytes never follow each other. `bytes` joins them."""

    pieces: tuple[bytes | File, ...]

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, File):
                yield from piece
            else:
                yield piece

    def __bytes__(self) -> bytes:
        return b"".join(self)


Payload: TypeAlias = bytes | Pieces
"""A mail or a part of one; plain bytes if it contains no file."""


@value(frozen=True, slots=True)
class Part:
    """Its header lines, and its body as transferred."""

    head: str
    body: Payload


def joined(payloads: Iterable[Payload]) -> Payload:
    """The payloads, concatenated."""
    pieces: list[bytes | File] = []
    together: list[bytes] = []
    for payload in payloads:
        for piece in payload.pieces if isinstance(payload, Pieces) else (payload,):
            if isinstance(piece, bytes):
                together.append(piece)
                continue
            if together:
                pieces.append(b"".join(together))
                together = []
            pieces.append(piece)
    if together:
        pieces.append(b"".join(together))
    match pieces:
        case [bytes(whole)]:
            return whole
        case _:
            return Pieces(tuple(pieces))


def text_part(kind: str, text: str, boundary: str) -> Part:
    """`text/<kind>`: ASCII with short lines is unchanged, anything else is encoded.

    Always 7-bit: every relay passes it on, and no relay converts it and breaks a signature.
    Text that contains `boundary` is encoded too.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    octets = text.encode()
    encoding, body = _encoded(octets, boundary.encode("ascii"))
    return Part(
        f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n',
        body,
    )


def file_part(file: Attachment, *, inline: bool) -> Part:
    """An attached file, or an inline image of the HTML."""
    disposition = "inline" if inline else "attachment"
    head = (
        f"Content-Type: {file.content_type}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: {disposition}{parameter('filename', file.filename)}\r\n"
    )
    if file.content_id:
        head += f"Content-ID: <{file.content_id}>\r\n"
    return Part(head, Pieces((File(file.content),)))


def multipart(kind: str, parts: Sequence[Part], boundary: str, *, extra: str = "") -> Part:
    """`multipart/<kind>` (RFC 2046, 5.1); `extra` is further parameters of its content type."""
    delimiter = b"--" + boundary.encode("ascii")
    pieces: list[Payload] = []
    for part in parts:
        pieces += (delimiter, b"\r\n", part.head.encode("ascii"), b"\r\n", part.body, b"\r\n")
    pieces.append(delimiter + b"--\r\n")
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"{extra}\r\n'
    return Part(head, joined(pieces))


def _encoded(octets: bytes, boundary: bytes) -> tuple[str, bytes]:
    """The transfer encoding and the encoded bytes."""
    if _plain(octets, boundary):
        return "7bit", octets.replace(b"\n", b"\r\n")
    quoted = binascii.b2a_qp(octets)
    # Base64 takes 4/3; if quoted-printable takes more, little of the text would be readable anyway.
    if len(quoted) * 3 > len(octets) * 5:
        return "base64", _base64(octets.replace(b"\n", b"\r\n"))
    return "quoted-printable", quoted.replace(b"\n", b"\r\n")


def _plain(octets: bytes, boundary: bytes) -> bool:
    """Whether it needs no encoding (RFC 5322, 2.3)."""
    return (
        octets.isascii()
        and b"\0" not in octets
        and boundary not in octets
        and len(max(octets.split(b"\n"), key=len)) < TOO_LONG
    )


def _base64(octets: bytes) -> bytes:
    encoded = b64encode(octets)
    lines = [
        encoded[start : start + _BASE64_LINE] for start in range(0, len(encoded), _BASE64_LINE)
    ]
    return b"\r\n".join((*lines, b""))
