"""What an assistant may do: without a key it reads, with one it may do what the key permits as long as it is valid."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations import filters, keys
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.keys import ApiKey
from tidings.operations.scopes import EVERY_TENANT, Scope

READS_ALL: Final = frozenset({Scope.READ})
"""Without a key it has what the user has who started it: the database."""


@dataclass(frozen=True, slots=True)
class Assistant:
    """An assistant during one call of a tool."""

    backend: Backend
    actor: Actor
    scopes: frozenset[Scope] = READS_ALL
    own_tenant: str | None = None
    """The tenant that it is limited to; None: none."""

    def id(self, text: str) -> IdPrefix:
        """An id. Limited to a tenant it must be whole: the digits of a shorter one would be compared with those of all.

        Raises:
            ValueError: It is none.
        """
        if self.own_tenant is None:
            return IdPrefix.parse(text)
        try:
            return IdPrefix.parse(str(UUID(text)))
        except ValueError:
            raise ValueError(f"id: {text!r} is not a whole UUID") from None

    def tenant(self, wanted: str | None) -> str | None:
        """The tenant that a tool is limited to.

        Args:
            wanted: The one that was asked for, if any.

        Raises:
            ValueError: It is no name of a tenant.
            Refused: It is another than the key's.
        """
        if wanted is None or filters.tenant(wanted) == self.own_tenant:
            return self.own_tenant
        if self.own_tenant is not None:
            raise Refused(f"the API key is of the tenant {self.own_tenant}")
        return wanted


class KeyHolder:
    """Knows the assistant's key, and looks at it anew for each call, so that revoking it is effective at once.

    Args:
        backend: The connections.
        local: Who started the server: acts for nobody, and reads where there is no key.
        secret: The API key; empty if there is none.
    """

    def __init__(self, backend: Backend, local: Actor, secret: str) -> None:
        self._backend = backend
        self._local = local
        self._secret = secret

    async def assistant(self) -> Assistant:
        """What it may do now.

        Raises:
            Refused: The key is unknown, revoked, expired, or a test key.
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        if not self._secret:
            return Assistant(self._backend, self._local)
        return self._with(await keys.authenticate(self._backend, self._secret))

    def _with(self, key: ApiKey) -> Assistant:
        scopes = {Scope(scope) for scope in key.scopes if scope in set(Scope)}
        if key.test:
            raise Refused(
                "a test key sees nothing but tests, and the tools show what is no test: use a live key"
            )
        return Assistant(
            self._backend,
            Actor("mcp", f"{key.name} {key.prefix}".strip()),
            frozenset(scopes),
            None if key.tenant == EVERY_TENANT else key.tenant,
        )
