"""The inbox component over HTTP: for pages of any origin, without a key, and cached as its address says."""

import gzip
import json

import pytest
from tests.support.api_rig import ApiRig
from tests.support.inbox_component import BUILT, SOURCE

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERSION = json.loads((SOURCE / "package.json").read_text())["version"]
MAIN = "/inbox/v1/tidings-inbox.js"
PLAIN = {"Accept-Encoding": "identity"}


async def test_every_file_is_served_to_pages_of_any_origin(api: ApiRig) -> None:
    for path in BUILT.iterdir():
        for version in ("v1", VERSION):
            answer = await api.ask("GET", f"/inbox/{version}/{path.name}", headers=PLAIN)
            assert (answer.status, answer.body) == (200, path.read_bytes())
            assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_release_is_kept_for_ever_and_its_series_for_minutes(api: ApiRig) -> None:
    kept = (await api.ask("GET", f"/inbox/{VERSION}/tidings-inbox.js")).headers["Cache-Control"]
    assert kept == "public, max-age=31536000, immutable"
    newest = await api.ask("GET", MAIN)
    assert newest.headers["Cache-Control"].startswith("public, max-age=300,")
    again = await api.ask("GET", MAIN, headers={"If-None-Match": newest.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["Access-Control-Allow-Origin"] == "*"


async def test_it_is_compressed_for_whoever_reads_that(api: ApiRig) -> None:
    asking = {"Accept-Encoding": "gzip, deflate, br"}
    async with api.session.get(MAIN, headers=asking, auto_decompress=False) as reply:
        body = await reply.read()
    assert reply.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == (BUILT / "tidings-inbox.js").read_bytes()
    plain = await api.ask("GET", MAIN, headers=PLAIN)
    assert plain.headers["Vary"] == reply.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] != reply.headers["ETag"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/inbox/v2/tidings-inbox.js", f"this service has release {VERSION}"),
        ("/inbox/0.9.0/tidings-inbox.js", "load `/inbox/v1/…`"),
        ("/inbox/v1/another.js", "no such file"),
    ],
)
async def test_whatever_is_not_there_is_said(api: ApiRig, path: str, says: str) -> None:
    answer = await api.ask("GET", path)
    assert answer.status == 404
    assert says in answer.data["detail"]


@pytest.mark.parametrize(
    "path", ["/inbox/v1/package.json", "/inbox/v1/..%2fpackage.json", "/inbox/..%2fv1/a.js"]
)
async def test_no_other_file_can_be_named(api: ApiRig, path: str) -> None:
    assert (await api.ask("GET", path)).status in {404, 422}
