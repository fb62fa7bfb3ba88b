"""Issues tickets, each of which opens one live connection to the inbox of the user who asks for it."""

from dataclasses import dataclass
from datetime import datetime

from tidings.inbox.ticket_desk import LIFETIME, digest, new_ticket
from tidings.ledger.inbox.messages import InboxUser
from tidings.ledger.inbox.tickets import Ticket, Tickets
from tidings.operations.backend import Backend

__all__ = ["InboxUser", "IssueTicketRequest", "TicketView", "issue"]


@dataclass(frozen=True, slots=True)
class IssueTicketRequest:
    """For whom, and what the ticket stands for."""

    user: InboxUser
    issued_at: datetime | None
    """When the user's token was issued."""
    token_expires_at: datetime


@dataclass(frozen=True, slots=True)
class TicketView:
    """A new ticket."""

    ticket: str
    expires_at: datetime


async def issue(backend: Backend, request: IssueTicketRequest) -> TicketView:
    """A ticket that takes the place of the user's token once, within half a minute."""
    ticket = new_ticket()
    stands_for = Ticket(request.user, request.issued_at, request.token_expires_at)
    tickets = Tickets(backend.ledger.database)
    return TicketView(ticket, await tickets.issue(digest(ticket), stands_for, LIFETIME))
