"""`/inbox/{version}/…`: the inbox component, for the pages of applications to load."""

import gzip
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from pydantic import Field

from tidings.api.problems import NOT_FOUND, ApiProblem
from tidings.api.route import AnyParameters, Call, Documented, Parameters, Reply, Route

FOLDER: Final = files("tidings.api") / "client_files"
MEDIA_TYPE: Final = "text/javascript"
FOR_EVER: Final = "public, max-age=31536000, immutable"
FOR_A_WHILE: Final = "public, max-age=300, stale-while-revalidate=86400"
"""A browser has a new release within five minutes, and at once from its cache what it had yesterday."""


class ClientFilePath(Parameters):
    """Names a file of a release."""

    version: str = Field(
        pattern=r"^v?\d+(\.\d+\.\d+)?$",
        max_length=20,
        description="`v1`: the newest release 1; or a release.",
        examples=["v1"],
    )
    file: str = Field(
        pattern=r"^[a-z.-]+\.js$",
        max_length=40,
        description="`tidings-inbox.js`, or what that loads.",
        examples=["tidings-inbox.js"],
    )


@dataclass(frozen=True, slots=True)
class ClientFile:
    """One file."""

    plain: bytes
    compressed: bytes


@dataclass(frozen=True, slots=True)
class Release:
    """What this process serves."""

    version: str
    files: dict[str, ClientFile]

    @property
    def major(self) -> str:
        """The address that stays the same as long as pages need no change."""
        return f"v{self.version.partition('.')[0]}"


@cache
def release() -> Release:
    """The files, read once."""
    package = json.loads((FOLDER / "package.json").read_text("utf-8"))
    found = {path.name: path.read_bytes() for path in (FOLDER / "served").iterdir()}
    made = {name: ClientFile(body, gzip.compress(body, 9, mtime=0)) for name, body in found.items()}
    return Release(package["version"], made)


async def _component(call: Call[ClientFilePath, AnyParameters, None]) -> Reply:
    served, version = release(), call.path.version
    found = served.files.get(call.path.file)
    if version not in {served.major, served.version}:
        raise ApiProblem(
            NOT_FOUND, f"this service has release {served.version}: load `/inbox/{served.major}/…`"
        )
    if found is None:
        raise ApiProblem(NOT_FOUND, f"release {served.version} has no such file")
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": FOR_EVER if version == served.version else FOR_A_WHILE,
        "Vary": "Accept-Encoding",
    }
    if "gzip" not in call.headers.get("accept-encoding", ""):
        return Reply(found.plain, headers=headers, media_type=MEDIA_TYPE)
    encoded = {**headers, "Content-Encoding": "gzip"}
    return Reply(found.compressed, headers=encoded, media_type=MEDIA_TYPE)


ROUTES: Final = (
    Route(
        "GET",
        "/inbox/{version}/{file}",
        _component,
        scope=None,
        summary="Load the inbox component",
        description=(
            "A module of JavaScript that defines `<tidings-inbox>`, for pages of any origin. `v1` is looked at again after "
            "five minutes; a release of three numbers never changes, and is there as long as the service has it."
        ),
        tag="documents",
        tenant_bound=False,
        path_model=ClientFilePath,
        query_model=AnyParameters,
        replies={
            200: Documented("The module", str, "export class …", media_type=MEDIA_TYPE),
        },
        problems=(NOT_FOUND,),
        etag=True,
    ),
)
