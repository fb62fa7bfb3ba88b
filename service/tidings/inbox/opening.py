"""Opens the hub with what it stands on: PostgreSQL connections of its own, and the hints."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tidings.broker.inbox_hints import InboxHintConsumer
from tidings.inbox.hub import Hub, Limits
from tidings.inbox.measured import LiveMetrics
from tidings.inbox.pump import Rendering
from tidings.inbox.ticket_desk import TicketDesk
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.inbox.following import Following
from tidings.ledger.inbox.tickets import Tickets
from tidings.settings import Settings


@dataclass(frozen=True, slots=True)
class Live:
    """What serves the live connections of a process."""

    hub: Hub
    tickets: TicketDesk


@asynccontextmanager
async def opened(
    settings: Settings, name: str, render: Rendering, metrics: LiveMetrics
) -> AsyncIterator[Live]:
    """All of it for one process, whose name stands in the servers' lists of connections.

    No server is reached yet: without PostgreSQL nobody is let in, and without RabbitMQ changes come a second later.
    """
    limits = Limits(settings.api.live_connections, settings.api.live_connections_of_user)
    # Of its own: whoever reads long lists must not hold up what is live, nor this look like PostgreSQL being away.
    async with PostgresDatabase(
        settings.ledger, application=f"tidings live {name}"[:63]
    ) as database:
        hub = Hub(Following(database), render, limits, metrics)
        listening = InboxHintConsumer(settings.broker, f"tidings {name} (inbox)", hub)
        hub.hints_arrive = lambda: listening.hears
        async with hub, TicketDesk(Tickets(database)) as tickets, listening:
            yield Live(hub, tickets)
