"""At the wire: encodes the frames of a publish (AMQP 0-9-1, 2.3.5)."""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import pamqp.frame
from pamqp import commands as spec

FRAME: Final = struct.Struct(">BHI")
"""Kind, channel and size of a frame (AMQP 0-9-1, 2.3.5)."""
CONTENT_HEADER: Final = struct.Struct(">HHQ")
"""Class, weight and size of the body (2.3.5.2)."""
FRAME_END: Final = b"\xce"
HEADER: Final = 2
BODY: Final = 3


@lru_cache(maxsize=256)
def method_frame(number: int, exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """The frame that says where to: the same for all that goes to one lane or retry queue."""
    method = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return pamqp.frame.marshal(method, number)


def content_frames(number: int, properties: bytes, body: bytes, most: int) -> Iterator[bytes]:
    """The frames that say what: properties, and the body in pieces of at most so many bytes."""
    yield b"".join(
        (
            FRAME.pack(HEADER, number, CONTENT_HEADER.size + len(properties)),
            CONTENT_HEADER.pack(spec.Basic.frame_id, 0, len(body)),
            properties,
            FRAME_END,
        )
    )
    for at in range(0, len(body), most):
        piece = body[at : at + most]
        yield b"".join((FRAME.pack(BODY, number, len(piece)), piece, FRAME_END))
