"""API keys: listed, made with the maker's rights at most, revoked. A secret is shown once, in the answer to its form."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tidings.console import equivalents
from tidings.console.page import Answer, ConsolePage, Html, SeeOther, Visit
from tidings.delivery.errors import InvalidRequest
from tidings.operations import keys
from tidings.operations.keys import (
    CreatedKeyView,
    CreateKeyRequest,
    KeyMaker,
    ListKeysRequest,
    RevokeKeyRequest,
)
from tidings.operations.scopes import EVERY_TENANT, Scope
from tidings.operations.times import ahead

EXAMPLE: Final = "tk_live_4bF9xQ2m"
"""Stands in commands for the prefix of a key."""
MEANINGS: Final = {
    Scope.SEND: "submit, reschedule and cancel notifications",
    Scope.READ: "read, with people and content masked",
    Scope.REVEAL: "see people and content",
    Scope.OPERATE: "act on channels, dead letters, jobs and the outbox",
    Scope.ADMIN: "manage keys, read the audit trail, erase",
}


async def _list(visit: Visit) -> Html:
    return Html("keys.html", await _values(visit))


async def _values(
    visit: Visit, problem: InvalidRequest | None = None, made: CreatedKeyView | None = None
) -> Mapping[str, Any]:
    every = visit.query("revoked") == "true"
    request = ListKeysRequest(visit.tenant, every, visit.test)
    form = visit.form
    return {
        "keys": await keys.list_(visit.backend, request),
        "every": every,
        "made": made,
        "problem": problem,
        "meanings": MEANINGS,
        "typed": {
            "name": form.text("name"),
            "tenant": form.text("tenant") or visit.tenant or "",
            "expires": form.text("expires"),
            "scope": form.all("scope"),
            "test": form.ticked("test") or visit.test,
        },
        "cli": f"{_creating(visit)}\n{equivalents.command('keys', 'revoke', EXAMPLE, note='left')}",
    }


def _creating(visit: Visit) -> str:
    return equivalents.command(
        "keys",
        "create",
        tenant=visit.tenant or EVERY_TENANT,
        scope=["read"],
        name="jane",
        expires="90d",
        test=visit.test,
    )


async def _create(visit: Visit) -> Answer:
    """A new key; the page that answers has its secret, and no other ever has."""
    form = visit.form
    try:
        request = CreateKeyRequest(
            visit.tenant or form.text("tenant"),
            form.all("scope"),
            form.text("name"),
            _expiry(form.text("expires")),
            test=form.ticked("test") or visit.test,
            maker=_maker(visit),
        )
        made = await keys.create(visit.backend, visit.actor, request)
    except InvalidRequest as problem:
        return Html("keys.html", await _values(visit, problem), status=422)
    return Html("keys.html", await _values(visit, made=made), status=201)


def _expiry(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(ahead(text))
    except ValueError as error:
        raise InvalidRequest(str(error), field="expires") from None
    return (
        at if at.tzinfo else at.replace(tzinfo=UTC)
    )  # whoever writes it is elsewhere than this process


async def _revoke(visit: Visit) -> SeeOther:
    request = RevokeKeyRequest(visit.path["prefix"], visit.form.reason(), _maker(visit))
    view = await keys.revoke(visit.backend, visit.actor, request)
    return SeeOther("/keys", f"{view.key.prefix} is revoked, in every process.")


def _maker(visit: Visit) -> KeyMaker:
    return KeyMaker(visit.tenant, visit.visitor.scopes, visit.test)


PAGES: Final = (
    ConsolePage("GET", "/keys", _list, Scope.ADMIN),
    ConsolePage("POST", "/keys", _create, Scope.ADMIN),
    ConsolePage("POST", "/keys/{prefix}/revoke", _revoke, Scope.ADMIN),
)
