"""Who is signed in, and what they may do."""

from dataclasses import dataclass, field
from uuid import UUID

from tidings.operations.actor import Actor
from tidings.operations.roles import lowest_role, role_of
from tidings.operations.scopes import EVERY_TENANT, Scope
from tidings.operations.sessions import ConsoleSession

KEYS = ("tk_live_", "tk_test_")
"""How the prefix of an API key begins."""
MARK = "#"
"""How that begins which tells people of the same name apart, who signed in by OpenID Connect."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person with a session."""

    name: str
    tenant: str | None
    """The tenant to which everything is limited; None: no limit."""
    scopes: frozenset[Scope]
    test: bool
    """Whether everything is limited to tests."""
    csrf: str = field(repr=False)
    """What each form must send."""
    session: UUID | None = None
    """Id of the session, in lists of them."""

    @classmethod
    def of(cls, session: ConsoleSession, csrf: str) -> "Visitor":
        """The person of a session."""
        tenant = None if session.tenant == EVERY_TENANT else session.tenant
        known = frozenset(Scope(scope) for scope in session.scopes if scope in set(Scope))
        return cls(session.name, tenant, known, session.test, csrf, session.id)

    @property
    def role(self) -> str:
        """The highest role that the scopes cover, for people."""
        return role_of(self.scopes) or "none"

    @property
    def own_name(self) -> str:
        """Without the prefix of the key that the person signed in with, or the mark of an OpenID provider."""
        name, _, last = self.name.rpartition(" ")
        return name if name and last.startswith((*KEYS, MARK)) else self.name

    def actor(self, request_id: str) -> Actor:
        """As history and the audit trail name the person: `console jane (request 4bf9…)`."""
        return Actor("console", self.name, request_id)

    def did(self, actor: str | None) -> bool:
        """Whether an actor of history is this person, in whichever request."""
        return actor is not None and actor.partition(" (request ")[0] == f"console {self.name}"

    def why_not(self, scope: Scope, *, live_only: bool = False, all_tenants: bool = False) -> str:
        """Why something may not be done; empty if it may.

        Args:
            scope: What it needs.
            live_only: Whether it concerns what is no test.
            all_tenants: Whether it concerns all tenants.
        """
        if scope not in self.scopes:
            return f"needs the role {lowest_role(scope)}; yours is {self.role}"
        if live_only and self.test:
            return "concerns live notifications too: you signed in with a test key"
        if all_tenants and self.tenant is not None:
            return f"concerns all tenants; you are signed in for {self.tenant}"
        return ""
