"""API keys: created, listed, revoked."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.ledger.operators.api_keys import ApiKey
from tidings.operations.actor import Actor
from tidings.operations.api_key_format import (
    PREFIX,
    digest,
    generate,
    is_well_formed,
    prefix_of_key,
)
from tidings.operations.backend import Backend
from tidings.operations.filters import tenant as tenant_name
from tidings.operations.scopes import EVERY_TENANT, Scope
from tidings.operations.suggestions import unknown

__all__ = [
    "ApiKey",
    "CreateKeyRequest",
    "CreatedKeyView",
    "KeyMaker",
    "KeyView",
    "ListKeysRequest",
    "RevokeKeyRequest",
    "authenticate",
    "create",
    "list_",
    "revoke",
]

LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class KeyMaker:
    """A person who makes or revokes keys by their own rights: no key may have more than they have."""

    tenant: str | None
    """None: all tenants."""
    scopes: Collection[str]
    test: bool = False
    """Limited to tests."""


@dataclass(frozen=True, slots=True)
class CreateKeyRequest:
    """A key to be made."""

    tenant: str
    """`*`: of all tenants."""
    scopes: Sequence[str]
    name: str = ""
    """Names its holder in the audit trail."""
    expires_at: datetime | None = None
    """When it stops working by itself; None: never."""
    test: bool = False
    """It sees and sends nothing but tests."""
    maker: KeyMaker | None = None
    """Whose rights it may not exceed; None: a person at this machine, who may make any."""


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key, without its secret."""

    key: ApiKey

    @property
    def state(self) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.key.revoked_at is not None:
            return "revoked"
        expires = self.key.expires_at
        return "expired" if expires is not None and expires <= datetime.now(UTC) else "valid"

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {**asdict(self.key), "state": self.state}


@dataclass(frozen=True, slots=True)
class CreatedKeyView(KeyView):
    """A new key with its secret, which is shown this once."""

    secret: str

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"secret": self.secret, **asdict(self.key), "state": self.state}


@dataclass(frozen=True, slots=True)
class ListKeysRequest:
    """Keys to be listed."""

    tenant: str | None = None
    """Only those of this tenant."""
    revoked: bool = False
    """Also those that are revoked or have expired."""
    test: bool = False
    """Only test keys."""


@dataclass(frozen=True, slots=True)
class RevokeKeyRequest:
    """A key to be revoked."""

    key: str
    """Its prefix; of a whole key the prefix is taken."""
    note: str = ""
    """Kept in the audit trail."""
    maker: KeyMaker | None = None
    """For whom a key of another tenant, or that is no test key, is none; None: every key may be revoked."""


async def create(backend: Backend, actor: Actor, request: CreateKeyRequest) -> CreatedKeyView:
    """Make a key.

    Raises:
        InvalidRequest: Tenant, scope, name or expiry is wrong; says which.
    """
    _check(request)
    secret = generate(test=request.test)
    prefix = prefix_of_key(secret)
    made = await backend.ledger.api_keys.create(
        prefix,
        digest(secret),
        name=request.name,
        tenant=request.tenant,
        scopes=[scope for scope in Scope if scope in request.scopes],
        test=request.test,
        expires_at=request.expires_at,
        actor=str(actor),
    )
    return CreatedKeyView(made, secret)


def _check(request: CreateKeyRequest) -> None:
    if request.tenant != EVERY_TENANT:
        try:
            tenant_name(request.tenant)
        except ValueError as error:
            raise InvalidRequest(f"{error}, or * for all tenants", field="tenant") from None
    if not request.scopes:
        raise InvalidRequest(f"name at least one of {', '.join(Scope)}", field="scope")
    for scope in request.scopes:
        if scope not in set(Scope):
            raise InvalidRequest(unknown(scope, list(Scope)), field="scope")
    if len(request.name) > LONGEST_NAME or not request.name.isprintable():
        raise InvalidRequest(
            f"write at most {LONGEST_NAME} printable characters on one line", field="name"
        )
    if request.expires_at is not None and request.expires_at <= datetime.now(UTC):
        raise InvalidRequest("it lies in the past", field="expires")
    if request.maker is not None:
        _check_rights(request, request.maker)


def _check_rights(request: CreateKeyRequest, maker: KeyMaker) -> None:
    """A key has no right that its maker does not have."""
    if maker.tenant not in {None, request.tenant}:
        raise InvalidRequest(f"you can make keys of {maker.tenant} only", field="tenant")
    if beyond := [scope for scope in request.scopes if scope not in maker.scopes]:
        raise InvalidRequest(f"you don't have {', '.join(beyond)} yourself", field="scope")
    if maker.test and not request.test:
        raise InvalidRequest("you signed in with a test key: make a test key", field="test")


async def list_(backend: Backend, request: ListKeysRequest) -> Sequence[KeyView]:
    """Keys, oldest first."""
    found = await backend.ledger.api_keys.list(request.tenant, revoked=request.revoked)
    return [KeyView(key) for key in found if key.test or not request.test]


async def revoke(backend: Backend, actor: Actor, request: RevokeKeyRequest) -> KeyView:
    """Revoke a key at once, in every process.

    Raises:
        NotFound: There is no such key.
        Refused: It is revoked already; says when.
    """
    keys, prefix = backend.ledger.api_keys, prefix_of_key(request.key.strip())
    if request.maker is not None and not _is_among(await keys.find(prefix), request.maker):
        raise NotFound(f"there is no key {prefix}")
    revoked = await keys.revoke(prefix, actor=str(actor), note=request.note)
    if revoked is not None:
        return KeyView(revoked)
    found = await keys.find(prefix)
    if found is None or found.revoked_at is None:
        raise NotFound(
            f"there is no key {prefix}: write its first {PREFIX} characters, as in `tidings keys list`"
        )
    raise Refused(f"{prefix} was revoked at {found.revoked_at:%Y-%m-%d %H:%M} UTC")


def _is_among(key: ApiKey | None, maker: KeyMaker) -> bool:
    """Whether a key is one that a person may know of."""
    return key is not None and maker.tenant in {None, key.tenant} and (key.test or not maker.test)


async def authenticate(backend: Backend, secret: str) -> ApiKey:
    """The key with this secret, as it stands in PostgreSQL at this moment; it is used now.

    The HTTP API, which can't ask PostgreSQL for each request, has a `Keyring`.

    Raises:
        Refused: It is unknown, revoked or expired.
    """
    found = None
    if is_well_formed(secret):
        found = await backend.ledger.api_keys.use(digest(secret))
    if found is None:
        raise Refused("the API key is unknown, revoked or expired")
    return found
