"""Tools that read: people and contents are masked, and nothing reveals them."""

from typing import Final

from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.mcp_server.assistant import Assistant
from tidings.mcp_server.tool import Tool, at_most
from tidings.operations import channels, notifications, statistics
from tidings.operations.dead_letters import lookup
from tidings.operations.dead_letters.lookup import DeadLetterListRequest
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.jobs import control
from tidings.operations.jobs.control import JobListRequest
from tidings.operations.notifications import ListRequest, ShowRequest
from tidings.operations.statistics import Choice, StatisticsRequest
from tidings.operations.times import moment


async def list_notifications(
    assistant: Assistant,
    states: list[State] | None = None,
    channels: list[str] | None = None,
    tenant: str | None = None,
    category: str | None = None,
    user_id: str | None = None,
    since: str | None = None,
    limit: int = 25,
    cursor: str | None = None,
) -> object:
    """List notifications, newest first, with the reason why each waits. `next_cursor` continues the list."""
    wanted = notifications.Filters(
        states=tuple(states or ()),
        channels=tuple(channels or ()),
        tenant=assistant.tenant(tenant),
        categories=(category,) if category else (),
        user_ids=(user_id,) if user_id else (),
        since=moment(since) if since else None,
    )
    request = ListRequest(wanted, at_most(limit), cursor=cursor)
    return await notifications.list_(assistant.backend, request)


async def show_notification(assistant: Assistant, id: str) -> object:
    """Show the history of one notification: attempts, the provider's replies, state changes with their actors."""
    own = assistant.own_tenant
    request = ShowRequest(assistant.id(id), tenant=own, explain=own is None)
    return await notifications.show(assistant.backend, request)


async def show_statistics(assistant: Assistant, since: str = "24h") -> object:
    """Success, retry and failure rates, delivery times, open dead letters, queue depths, and what is not delivering."""
    own = assistant.own_tenant
    request = StatisticsRequest(moment(since), choice=Choice(own), queues=own is None)
    return await statistics.look(assistant.backend, request)


async def list_channels(assistant: Assistant) -> object:
    """The state of each channel and provider: delivering, paused, down, recovering or disabled, and why."""
    return await channels.list_(assistant.backend)


async def dead_letter_groups(
    assistant: Assistant,
    channel: str | None = None,
    reason: Reason | None = None,
    tenant: str | None = None,
    since: str | None = None,
    limit: int = 25,
) -> object:
    """Dead letters with the same cause, the largest groups first, each with its fingerprint."""
    query = DeadLetterQuery.read(
        channel=channel, reason=reason, tenant=assistant.tenant(tenant), since=since
    )
    return await lookup.groups(assistant.backend, query, at_most(limit))


async def list_dead_letters(
    assistant: Assistant,
    fingerprint: str | None = None,
    channel: str | None = None,
    reason: Reason | None = None,
    tenant: str | None = None,
    limit: int = 25,
    cursor: str | None = None,
) -> object:
    """List dead letters, newest first. `next_cursor` continues the list."""
    query = DeadLetterQuery.read(
        fingerprint=fingerprint, channel=channel, reason=reason, tenant=assistant.tenant(tenant)
    )
    request = DeadLetterListRequest(query, at_most(limit), cursor=cursor)
    return await lookup.list_(assistant.backend, request)


async def show_dead_letter(assistant: Assistant, id: str) -> object:
    """Show one dead letter: its cause, its masked content and what may be done about it."""
    return await lookup.show(
        assistant.backend, assistant.id(id), reveal=False, tenant=assistant.own_tenant
    )


async def list_jobs(assistant: Assistant, limit: int = 25, cursor: str | None = None) -> object:
    """List jobs (replays, edits, discards, bulk cancellations), newest first, with their progress. `next_cursor` continues the
    list."""
    request = JobListRequest(at_most(limit), tenant=assistant.own_tenant, cursor=cursor)
    return await control.list_(assistant.backend, request)


async def show_job(assistant: Assistant, id: str) -> object:
    """Show one job: what was chosen, its progress and its results."""
    return await control.show(assistant.backend, assistant.id(id), tenant=assistant.own_tenant)


TOOLS: Final = (
    Tool(list_notifications),
    Tool(show_notification),
    Tool(show_statistics),
    Tool(list_channels, tenant_bound=False),
    Tool(dead_letter_groups),
    Tool(list_dead_letters),
    Tool(show_dead_letter),
    Tool(list_jobs),
    Tool(show_job),
)
