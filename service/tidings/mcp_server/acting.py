"""Tools that act: each shows what it would do, and does it only when it is called with `dry_run=false`."""

from typing import Any, Final

from tidings.delivery.jobs import JobKind, Plan
from tidings.mcp_server.assistant import Assistant
from tidings.mcp_server.tool import Result, Tool
from tidings.operations import channels, notifications
from tidings.operations.channels import OrderRequest
from tidings.operations.dead_letters.field_changes import FieldChange, shows_to_others
from tidings.operations.dead_letters.plan import stopping
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.replays import ReplayRequest, choose, preview_replay
from tidings.operations.jobs import control
from tidings.operations.jobs.control import JobEdit
from tidings.operations.jobs.previews import PreviewRequest, preview
from tidings.operations.notifications import CancelRequest, Filters, ShowRequest
from tidings.operations.scopes import Scope


async def cancel_notification(
    assistant: Assistant, id: str, note: str, dry_run: bool = True
) -> object:
    """Cancel a notification that is not sent yet. With `dry_run` it is shown as it is, and nothing is done."""
    own, prefix = assistant.own_tenant, assistant.id(id)
    found = await notifications.show(
        assistant.backend, ShowRequest(prefix, tenant=own, explain=own is None)
    )
    if dry_run:
        return _dry(found)
    request = CancelRequest(prefix, note)
    return await notifications.cancel(assistant.backend, assistant.actor, request)


async def replay_dead_letters(
    assistant: Assistant,
    fingerprint: str | None = None,
    ids: list[str] | None = None,
    limit: int | None = None,
    canary: list[int] | None = None,
    rate: float | None = None,
    dry_run: bool = True,
) -> object:
    """Send open dead letters again: those of a group (`fingerprint`), or by `ids`. With `dry_run` they are counted, and
    nothing is sent. Otherwise a job is started; `canary` are the sizes of its first waves, `rate` messages a second."""
    if not (fingerprint or ids):
        raise ValueError("give a fingerprint or ids: dead_letter_groups has them")
    query = DeadLetterQuery.read(
        fingerprint=fingerprint,
        ids=[assistant.id(each) for each in ids or ()],
        tenant=assistant.own_tenant,
    )
    request = ReplayRequest(query, limit=limit)
    backend, actor = assistant.backend, assistant.actor
    if dry_run:
        return _dry(await preview_replay(backend, request, full_scan=False))
    plan = Plan(rate=rate, canary=tuple(canary or ()))
    choice = await choose(backend, actor, request, plan, preview=False)
    return await control.start(backend, actor, choice.job, tenant=assistant.own_tenant)


async def edit_dead_letters(
    assistant: Assistant,
    note: str,
    set_fields: dict[str, Any] | None = None,
    unset_fields: list[str] | None = None,
    fingerprint: str | None = None,
    ids: list[str] | None = None,
    replay: bool = False,
    canary: list[int] | None = None,
    rate: float | None = None,
    dry_run: bool = True,
) -> object:
    """Change the same fields in open dead letters: those of a group (`fingerprint`), or by `ids`; then `replay` them. With
    `dry_run` they are counted, some are shown with what changes in them, masked, and nothing is done. Otherwise a job is
    started; `canary` are the sizes of the first waves of a replay, `rate` dead letters a second."""
    if not (fingerprint or ids):
        raise ValueError("give a fingerprint or ids: dead_letter_groups has them")
    backend, actor, tenant = assistant.backend, assistant.actor, assistant.own_tenant
    query = DeadLetterQuery.read(
        fingerprint=fingerprint, ids=[assistant.id(each) for each in ids or ()], tenant=tenant
    )
    change = FieldChange.of(set_fields or {}, tuple(unset_fields or ()))
    if shows_to_others(change.paths) and Scope.REVEAL not in assistant.scopes:
        raise ValueError("another recipient gets to see the content: that needs the scope reveal")
    waves = tuple(canary or ())
    request = PreviewRequest(
        JobKind.EDIT,
        query,
        Filters(),
        note=note,
        plan=Plan(rate=rate, canary=waves, stop_at=stopping(waves, None)),
        edit=JobEdit(change, replay),
        tenant=tenant,
    )
    found = await preview(backend, actor, request)
    if dry_run:
        await control.forget(backend, actor, found.job.id)
        return _dry(found)
    return await control.start(backend, actor, found.job.id, tenant=tenant)


async def pause_channel(
    assistant: Assistant, channel: str, note: str, dry_run: bool = True
) -> object:
    """Let no worker take anything more of a channel; messages wait. With `dry_run` its state is shown."""
    return await _order(assistant, channel, note, dry_run, channels.pause)


async def resume_channel(
    assistant: Assistant, channel: str, note: str, dry_run: bool = True
) -> object:
    """Resume a paused channel. With `dry_run` its state is shown."""
    return await _order(assistant, channel, note, dry_run, channels.resume)


async def _order(
    assistant: Assistant, channel: str, note: str, dry_run: bool, order: Any
) -> object:
    if dry_run:
        known = await channels.conditions(assistant.backend)
        return _dry([status for status in known if status.channel == channel])
    return await order(assistant.backend, assistant.actor, OrderRequest(channel, note=note))


def _dry(view: object) -> Result:
    return {"dry_run": True, "now": view, "next": "call it again with dry_run=false to do it"}


TOOLS: Final = (
    Tool(cancel_notification, Scope.OPERATE),
    Tool(edit_dead_letters, Scope.OPERATE),
    Tool(replay_dead_letters, Scope.OPERATE),
    Tool(pause_channel, Scope.OPERATE, tenant_bound=False),
    Tool(resume_channel, Scope.OPERATE, tenant_bound=False),
)
