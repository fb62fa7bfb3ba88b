"""Owners of groups of dead letters: the operator who takes care of one, set and removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.ledger.dead_letters.owners import GroupOwner
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.notes import GroupRequest, known_group
from tidings.operations.json_views import GROUP_OWNER, renamed

__all__ = ["GroupOwner", "GroupOwnerView", "of_group", "remove", "set_owner"]

LONGEST: Final = 64
"""Characters of an owner."""


@dataclass(frozen=True, slots=True)
class GroupOwnerView:
    """The owner of a group."""

    fingerprint: str
    owner: GroupOwner | None
    """None: it was removed."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        if self.owner is None:
            return {"fingerprint": self.fingerprint, "owner": None}
        return {"fingerprint": self.fingerprint, **renamed(self.owner, GROUP_OWNER)}


async def set_owner(
    backend: Backend, actor: Actor, request: GroupRequest, owner: str
) -> GroupOwnerView:
    """Say who takes care of a group, in the place of who did.

    Args:
        backend: The connections.
        actor: Who says so.
        request: The group.
        owner: A name, as people here know it.

    Raises:
        NotFound: There is no such group.
        InvalidRequest: The owner is empty, too long, or has characters that can't be printed.
        Refused: Several groups begin so.
    """
    name = owner.strip()
    if not (0 < len(name) <= LONGEST and name.isprintable()):
        raise InvalidRequest(
            f"it is not 1 to {LONGEST} printable characters: give a name", field="owner"
        )
    group, owners = await known_group(backend, request), backend.ledger.dead_letters.owners
    return GroupOwnerView(group, await owners.set(group, request.tenant, name, actor=str(actor)))


async def of_group(backend: Backend, request: GroupRequest) -> Sequence[GroupOwner]:
    """The owners of a group: its tenant's, or those of every tenant and of all together.

    Args:
        request: It names the group by its whole fingerprint.
    """
    group = request.fingerprint
    owners = await backend.ledger.dead_letters.owners.of_groups([group], request.tenant)
    return owners.get(group, ())


async def remove(backend: Backend, actor: Actor, request: GroupRequest) -> GroupOwnerView:
    """Say that nobody takes care of a group any more.

    Raises:
        NotFound: There is no such group, or it has no owner.
        Refused: Several groups begin so.
    """
    group, owners = await known_group(backend, request), backend.ledger.dead_letters.owners
    if not await owners.remove(group, request.tenant, actor=str(actor)):
        raise NotFound(f"the group {group} has no owner")
    return GroupOwnerView(group, None)
