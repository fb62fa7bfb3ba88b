"""Who sends a request: the holder of an API key, or an end user of an application."""

from dataclasses import dataclass, field
from datetime import datetime

from tidings.operations.actor import Actor
from tidings.operations.keys import ApiKey
from tidings.operations.scopes import EVERY_TENANT, Scope


@dataclass(frozen=True, slots=True)
class EndUser:
    """An application's user, as its token proves: subject and tenant, and no scope."""

    subject: str
    tenant: str
    issued_at: datetime | None
    """When its token was issued; None if the token does not say so."""
    expires_at: datetime
    """When its token expires."""

    @property
    def quota_key(self) -> str:
        """Whose quota its requests use up."""
        return f"{self.tenant} {self.subject}"


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of an API key."""

    key: str
    """The prefix of its key, which is no secret."""
    key_hash: bytes = field(repr=False)
    """The whole key's, as it is stored."""
    name: str
    """The name that its key was given; may be empty."""
    tenant: str | None
    """The tenant that it may act for; None: all."""
    scopes: frozenset[Scope]
    test: bool = False
    """Whether it is a test key, which sees and sends nothing but tests."""

    @classmethod
    def of(cls, key: ApiKey, key_hash: bytes) -> "Principal":
        """The holder of a key."""
        tenant = None if key.tenant == EVERY_TENANT else key.tenant
        known = frozenset(Scope(scope) for scope in key.scopes if scope in set(Scope))
        return cls(key.prefix, key_hash, key.name, tenant, known, key.test)

    @property
    def quota_key(self) -> str:
        """Whose quota its requests use up."""
        return self.key

    def actor(self, request_id: str) -> Actor:
        """As the audit trail names it: `api-key shop-prod tk_live_Ab12Cd34 (request 4bf9…)`."""
        return Actor("api-key", f"{self.name} {self.key}".strip(), request_id)
