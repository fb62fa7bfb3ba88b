"""Failures: dead letters in groups by fault; the dead letters of one group; notes on it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from tidings.console.dead_letter_filters import DeadLetterChoice, filter_names
from tidings.console.equivalents import command, curl
from tidings.console.filtering import FilterBar
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.delivery.dead_letter import OPEN, DeadLetterState
from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations.dead_letters import lookup, notes, owners
from tidings.operations.dead_letters.lookup import (
    DeadLetterGroupPage,
    DeadLetterListRequest,
)
from tidings.operations.dead_letters.notes import GroupNote, GroupRequest
from tidings.operations.dead_letters.owners import GroupOwner
from tidings.operations.scopes import Scope

GROUPS: Final = 50
"""Of a page."""
DEAD_LETTERS: Final = 50


async def _groups(visit: Visit) -> Html | SeeOther:
    return filter_names(visit, "/failures").resealed(visit) or await groups_page(visit)


async def _find_groups(visit: Visit) -> Html | SeeOther:
    return filter_names(visit, "/failures").posted(visit) or await groups_page(visit)


async def groups_page(visit: Visit, *, problem: str = "", status: int = 200) -> Html:
    """The page of all groups.

    Args:
        visit: The request; what a form sent is shown in it again.
        problem: Why what the form asks for can't be done.
        status: Of the answer.
    """
    bar = filter_names(visit, "/failures").bar(visit)
    status = 422 if bar.problem else status
    page = DeadLetterGroupPage(())
    choice, cursor = DeadLetterChoice({}, (), visit.test), visit.query("cursor") or None
    try:
        choice = DeadLetterChoice.read(visit)
        page = await lookup.groups(visit.backend, choice.query(), GROUPS, cursor, patience=0)
    except InvalidRequest as invalid:
        bar, status = replace(bar, problem=f"{invalid.field}: {invalid}"), 422
    states = [state.value for state in choice.states]
    values = {
        "filters": bar,
        "kept": _query(bar),
        "states": states,
        "of_open": states in ([], [DeadLetterState.OPEN]),
        "searched_since": page.searched_since,
        "older": page.searched_since and page.searched_since.isoformat(),
        "groups": page.data,
        "next_cursor": page.next_cursor,
        "in_parts": bool(cursor or page.next_cursor),
        "count": sum(view.group.dead_letters for view in page.data),
        "problem": problem,
        "typed": visit.form,
        "cli": command("dead", "groups", **choice.options, state=states),
        "curl": curl(visit, "GET", "/v1/dead-letters/groups", **choice.as_data, state=states),
        **_bulk(visit, choice),
    }
    return Html("failures/groups.html", values, status)


def _query(bar: FilterBar) -> dict[str, list[str]]:
    """The filters as an address has them."""
    kept: dict[str, list[str]] = {}
    for name, value in bar.kept:
        kept.setdefault(name, []).append(value)
    return kept


async def _group(visit: Visit) -> Html | SeeOther:
    fingerprint = visit.path["fingerprint"]
    names = filter_names(visit, f"/failures/{fingerprint}")
    return names.resealed(visit) or await group_page(visit, fingerprint)


async def _find_dead_letters(visit: Visit) -> Html | SeeOther:
    fingerprint = visit.path["fingerprint"]
    page = await group_page(visit, fingerprint)  # there is one for this person
    return filter_names(visit, f"/failures/{fingerprint}").posted(visit) or page


async def group_page(
    visit: Visit, fingerprint: str, *, problem: str = "", status: int = 200
) -> Html:
    """The page of one group.

    Args:
        visit: The request; what a form sent is shown in it again.
        fingerprint: The group's.
        problem: Why what the form asks for can't be done.
        status: Of the answer.

    Raises:
        NotFound: There is no such group.
    """
    bar = filter_names(visit, f"/failures/{fingerprint}").bar(visit)
    status = 422 if bar.problem else status
    group = choice = DeadLetterChoice.of_group(visit, fingerprint)
    found, noted, owned = await _found(visit, group)
    page, matching = None, None
    try:
        choice = DeadLetterChoice.read(visit, fingerprint)
        wanted = choice.query(*OPEN)
        cursor = visit.query("cursor") or None
        page = await lookup.list_(
            visit.backend, DeadLetterListRequest(wanted, DEAD_LETTERS, cursor=cursor)
        )
        matching = found if choice == group else await _open(visit, choice)
    except InvalidRequest as invalid:
        bar, status = replace(bar, problem=f"{invalid.field}: {invalid}"), 422
    values = {
        "fingerprint": fingerprint,
        "kept": _query(bar),
        "filters": bar,
        "view": found.data[0] if found.data else None,
        "searched_since": found.searched_since,
        "notes": noted,
        "owners": owned,
        "page": page,
        "count": _count(matching),
        "problem": problem,
        "typed": visit.form,
        **_equivalents(visit, choice, fingerprint),
    }
    return Html("failures/group.html", values, status)


def _bulk(visit: Visit, choice: DeadLetterChoice) -> dict[str, str]:
    """Commands and requests of what is done with all that match."""
    filters = set(choice.values) - ({"tenant"} if visit.tenant is not None else set())
    chosen: dict[str, Any] = {"dead_letters": choice.as_data} if choice.as_data else {}
    chosen |= {} if filters else {"all": True}
    replay = {"kind": "replay", **chosen, "plan": {"canary": [1, 10, 100]}}
    edit = {"kind": "edit", **chosen, "edit": {"set": {"locale": "de"}}, "note": "…"}
    discard = {"kind": "discard", **chosen, "note": "…"}
    every = not choice.values
    return {
        "replay_cli": command("replay", **choice.options, canary="1,10,100", all=every),
        "replay_curl": curl(visit, "POST", "/v1/jobs", body=replay),
        "edit_cli": ""
        if every
        else command("dead", "edit", **choice.options, set="locale=de", note="…"),
        "edit_curl": curl(visit, "POST", "/v1/jobs", body=edit),
        "discard_cli": "" if every else command("dead", "discard", **choice.options, note="…"),
        "discard_curl": curl(visit, "POST", "/v1/jobs", body=discard),
    }


def _equivalents(visit: Visit, choice: DeadLetterChoice, fingerprint: str) -> dict[str, Any]:
    path = "/v1/dead-letters/groups/{}/note"
    note, states = {"note": "…"}, [state.value for state in choice.states]
    name = visit.visitor.own_name
    return {
        **_bulk(visit, choice),
        "cli": command("dead", "list", **choice.options, state=states),
        "curl": curl(visit, "GET", "/v1/dead-letters", **choice.as_data, state=states),
        "note_cli": command("dead", "note", fingerprint=fingerprint, tenant=visit.tenant, note="…"),
        "owner_cli": command("dead", "owner", fingerprint, name, tenant=visit.tenant),
        "owner_curl": curl(
            visit,
            "PUT",
            "/v1/dead-letters/groups/{}/owner",
            fingerprint,
            body={"owner": name},
            tenant=visit.tenant,
        ),
        "note_curl": curl(visit, "PUT", path, fingerprint, body=note, tenant=visit.tenant),
    }


async def _open(visit: Visit, choice: DeadLetterChoice) -> DeadLetterGroupPage:
    """The open dead letters of a group that match; empty if there are none."""
    return await lookup.groups(visit.backend, replace(choice, states=()).query(), 1, patience=0)


def _count(matching: DeadLetterGroupPage | None) -> int | None:
    """How many open ones match; None if not all were looked at."""
    if matching is None or matching.searched_since is not None:
        return None
    return sum(view.group.dead_letters for view in matching.data)


async def _found(
    visit: Visit, group: DeadLetterChoice
) -> tuple[DeadLetterGroupPage, Sequence[GroupNote], Sequence[GroupOwner]]:
    """A group with its notes and owners; an empty page if none of its dead letters that were looked at is open any more."""
    fingerprint = group.values["fingerprint"]
    request = GroupRequest(fingerprint, visit.tenant)
    if not re.fullmatch(r"[0-9a-f]{1,64}", fingerprint):
        raise NotFound(f"there is no group {fingerprint[:64]}")
    found = await _open(visit, group)
    if found.data and (view := found.data[0]).group.fingerprint == fingerprint:
        return found, view.notes, view.owners
    closed = await lookup.list_(
        visit.backend, DeadLetterListRequest(group.query(*DeadLetterState), 1)
    )
    for dead_letter in closed.data:
        if dead_letter.fingerprint == fingerprint:
            id_ = IdPrefix.parse(str(dead_letter.id))
            newest = await lookup.show(visit.backend, id_, reveal=False, tenant=visit.tenant)
            owned = [] if visit.test else await owners.of_group(visit.backend, request)
            return replace(found, data=()), newest.group_notes, owned
    raise NotFound(f"there is no group {fingerprint}")


async def _annotate(visit: Visit) -> SeeOther | Html:
    fingerprint, note = visit.path["fingerprint"], visit.form.text("note")
    request, back = GroupRequest(fingerprint, visit.tenant), f"/failures/{fingerprint}"
    if visit.form.ticked("remove"):
        await notes.remove_from_group(visit.backend, visit.actor, request)
        return SeeOther(back, "The note was removed.")
    try:
        await notes.annotate_group(visit.backend, visit.actor, request, note)
    except InvalidRequest as invalid:
        return await group_page(visit, fingerprint, problem=f"Note: {invalid}", status=422)
    return SeeOther(back, "The note was kept.")


async def _own(visit: Visit) -> SeeOther | Html:
    fingerprint, owner = visit.path["fingerprint"], visit.form.text("owner")
    request, back = GroupRequest(fingerprint, visit.tenant), f"/failures/{fingerprint}"
    if visit.form.ticked("remove"):
        await owners.remove(visit.backend, visit.actor, request)
        return SeeOther(back, "Nobody takes care of the group now.")
    try:
        await owners.set_owner(visit.backend, visit.actor, request, owner)
    except InvalidRequest as invalid:
        return await group_page(visit, fingerprint, problem=f"Owner: {invalid}", status=422)
    return SeeOther(back, f"{owner} takes care of the group.")


PAGES: Final = (
    ConsolePage("GET", "/failures", _groups),
    ConsolePage("POST", "/failures/find", _find_groups),
    ConsolePage("GET", "/failures/{fingerprint}", _group),
    ConsolePage("POST", "/failures/{fingerprint}/find", _find_dead_letters),
    ConsolePage("POST", "/failures/{fingerprint}/note", _annotate, Scope.OPERATE, live_only=True),
    ConsolePage("POST", "/failures/{fingerprint}/owner", _own, Scope.OPERATE, live_only=True),
)
