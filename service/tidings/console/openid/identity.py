"""Who a provider's claims say that somebody is: name, role and tenant."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from tidings.console.openid.errors import SignInFailed
from tidings.console.visitors import MARK
from tidings.operations.filters import tenant as tenant_name
from tidings.operations.roles import ConsoleRole
from tidings.operations.scopes import EVERY_TENANT
from tidings.settings import ConsoleSettings

LONGEST_NAME: Final = 128
MARK_DIGITS: Final = 8
"""Of 16^8, two of a thousand people share one with a chance of 1 in 8,600; the name is beside it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom the provider knows, and what they may do here."""

    name: str
    """As the provider names them: another person may have the name, or get it."""
    subject: str
    """The provider's id of the person, which never changes."""
    mark: str
    """Stands for provider and id: `#1f3a9c02`."""
    role: ConsoleRole
    tenant: str
    """`*`: all tenants."""

    @property
    def in_history(self) -> str:
        """As history and the audit trail name the person: no name that somebody chooses looks like another's."""
        return f"{self.name} {self.mark}"


def identity_of(claims: Mapping[str, Any], settings: ConsoleSettings) -> Identity:
    """Who the claims name.

    Raises:
        SignInFailed: They give no role or tenant here, or no usable name.
    """
    subject = _name(claims.get("sub"))
    if not subject:
        raise SignInFailed(f"{settings.oidc_name} did not say who you are.")
    name = _name(found(claims, settings.oidc_name_claim)) or subject
    roles = [role for role in ConsoleRole if role in _roles(claims, settings)]
    if not roles:
        raise SignInFailed(
            f"You are signed in at {settings.oidc_name} as {name}, and have no role here: your claim "
            f"`{settings.oidc_roles_claim}` has no value to which TIDINGS_CONSOLE_OIDC_ROLES gives one. Ask whoever "
            "gives out access."
        )
    mark = MARK + sha256(f"{settings.oidc_issuer}\n{subject}".encode()).hexdigest()[:MARK_DIGITS]
    return Identity(name, subject, mark, roles[-1], _tenant(claims, settings, name))


def missing(claims: Mapping[str, Any], settings: ConsoleSettings) -> bool:
    """Whether a claim that decides something is not there, so that the provider may have it elsewhere."""
    wanted = (settings.oidc_name_claim, settings.oidc_roles_claim, settings.oidc_tenant_claim)
    return any(name and found(claims, name) is None for name in wanted)


def found(claims: Any, path: str) -> Any:
    """The claim at a path such as `realm_access.roles`; names may have dots of their own. None if there is none."""
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    for at, letter in enumerate(path):
        if letter == "." and path[:at] in claims:
            value = found(claims[path[:at]], path[at + 1 :])
            if value is not None:
                return value
    return None


def _roles(claims: Mapping[str, Any], settings: ConsoleSettings) -> Iterator[str]:
    value = found(claims, settings.oidc_roles_claim)
    values = value if isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, str) and each in settings.oidc_roles:
            yield settings.oidc_roles[each]


def _tenant(claims: Mapping[str, Any], settings: ConsoleSettings, name: str) -> str:
    if not settings.oidc_tenant_claim:
        return EVERY_TENANT
    value = found(claims, settings.oidc_tenant_claim)
    if value == EVERY_TENANT:
        return EVERY_TENANT
    try:
        return tenant_name(value if isinstance(value, str) else "")
    except ValueError:
        raise SignInFailed(
            f"You are signed in at {settings.oidc_name} as {name}, and your claim `{settings.oidc_tenant_claim}` names "
            "no tenant. Ask whoever gives out access."
        ) from None


def _name(value: Any) -> str:
    """A name that fits on a line and looks like nothing else; empty if it is none."""
    usable = isinstance(value, str) and value.isprintable() and 0 < len(value) <= LONGEST_NAME
    return value.strip() if usable else ""
