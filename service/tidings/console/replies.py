"""Replies that are compressed: pages, and the files that they load."""

import gzip
from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tidings.console.rendering import MEDIA_TYPES, assets

FOR_EVER: Final = "public, max-age=31536000, immutable"
WORTH_COMPRESSING: Final = 1_000
"""Bytes."""


async def asset_reply(request: Request) -> Response:
    """A file that never changes under its address, so that it is loaded once by each browser."""
    name = request.path_params["name"]
    body = assets().get(name)
    if body is None:
        raise HTTPException(404)
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    return compressed(request, body, MEDIA_TYPES[name.rpartition(".")[2]], 200, headers)


def compressed(
    request: Request, body: bytes, media_type: str, status: int, headers: Mapping[str, str]
) -> Response:
    """A reply, as small as the browser takes it."""
    sent = {"Vary": "Accept-Encoding, Cookie", **headers}
    if len(body) > WORTH_COMPRESSING and "gzip" in request.headers.get("accept-encoding", ""):
        body, sent["Content-Encoding"] = gzip.compress(body, 5, mtime=0), "gzip"
    return Response(body, status, sent, media_type=media_type)
