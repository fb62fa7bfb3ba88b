"""OpenID providers on loopback: a real one that others wrote, and one that says whatever a test wants."""

import asyncio
import json
import os
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any, Final

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.support import npm

from tidings_local.errors import LocalStackError

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "tests" / "openid"
FOLDER: Final = ROOT / ".local" / "openid"
CLIENT: Final = "tidings-console"
SECRET: Final = "a secret/with +signs"


@asynccontextmanager
async def real_provider(
    people: Mapping[str, Mapping[str, Any]], console: str
) -> AsyncIterator[str]:
    """Run oidc-provider; its issuer. A test that needs it is skipped where it can't be had, and fails in CI.

    Args:
        people: Claims of each person, by the name under which they sign in.
        console: URL of the console's service, to which it may send people back.
    """
    try:
        npm.install(SOURCE / "package.json", FOLDER)
    except LocalStackError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    client = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "redirect_uris": [f"{console}/console/sign-in/openid/callback"],
        "post_logout_redirect_uris": [f"{console}/console/sign-in"],
    }
    process = await asyncio.create_subprocess_exec(
        *("node", str(SOURCE / "provider.mjs")),
        env={
            "PATH": os.environ["PATH"],
            "FOLDER": str(FOLDER),
            "PEOPLE": json.dumps(people),
            "CLIENTS": json.dumps([client]),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(15):
            port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


Claims = dict[str, Any]


@dataclass
class ScriptedProvider:
    """A provider that says what a test wants; unasked it tells the truth."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    claims: Claims = field(default_factory=dict)
    """In the ID token."""
    userinfo: Claims = field(default_factory=dict)
    metadata: Claims = field(default_factory=dict)
    """Instead of what it says of itself."""
    token: Callable[["ScriptedProvider"], str] = lambda self: self.signed()
    """Makes the ID token."""
    answer: Callable[[], web.StreamResponse] | None = None
    """Answers for the token endpoint."""
    requests: list[web.BaseRequest] = field(default_factory=list)
    bodies: list[Mapping[str, Any]] = field(default_factory=list)

    def truth(self, nonce: str) -> Claims:
        """Claims of an operator who has just signed in."""
        now = int(time())
        return {
            "iss": self.issuer,
            "sub": "u-1",
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": nonce,
            "preferred_username": "jane",
            "roles": ["operator"],
        }

    def signed(self, header: Mapping[str, Any] | None = None, key: Any = None) -> str:
        """Its claims, as a token."""
        used = {"alg": "RS256", "kid": self.key.kid, **(header or {})}
        return jwt.encode(used, self.claims, key or self.key, algorithms=[str(used["alg"])])

    def unsigned(self) -> str:
        """Its claims, with the algorithm `none`."""
        parts = ({"alg": "none", "kid": self.key.kid}, self.claims)
        encoded = [urlsafe_b64encode(json.dumps(it).encode()).decode().rstrip("=") for it in parts]
        return ".".join([*encoded, ""])

    async def _metadata(self, _: web.Request) -> web.Response:
        paths = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "jwks"}
        paths |= {"userinfo_endpoint": "me"}
        address = {name: f"{self.issuer}/{path}" for name, path in paths.items()}
        return web.json_response({"issuer": self.issuer, **address, **self.metadata})

    async def _keys(self, _: web.Request) -> web.Response:
        odd = [{"kty": "AKP", "alg": "ML-DSA-44", "kid": "odd"}, {"kty": "RSA"}, "nonsense"]
        return web.json_response({"keys": [self.key.as_dict(private=False), *odd]})

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(dict(await request.post()))
        if self.answer is not None:
            return self.answer()
        tokens = {"access_token": "at", "token_type": "Bearer", "id_token": self.token(self)}
        return web.json_response(tokens)

    async def _userinfo(self, _: web.Request) -> web.Response:
        return web.json_response(self.userinfo)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ScriptedProvider"]:
        """Answer requests."""
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._metadata)
        application.router.add_get("/jwks", self._keys)
        application.router.add_post("/token", self._token)
        application.router.add_get("/me", self._userinfo)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()
