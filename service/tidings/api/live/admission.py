"""Lets users in to live connections: by a token in the first frame or the handshake, or by a ticket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import Scope

from tidings.api.authentication import Authentication, TokenRevoked
from tidings.api.limits import Quotas
from tidings.api.live.frames import revision_in_query, start_frame
from tidings.api.principal import EndUser
from tidings.api.problems import RATE_LIMITED, UNAUTHENTICATED, ApiProblem
from tidings.api.tokens import LEEWAY
from tidings.inbox.connection import Access, CloseCode, LiveRefusal
from tidings.inbox.ticket_desk import TicketDesk


@dataclass(frozen=True, slots=True)
class Started:
    """How a connection begins."""

    access: Access
    since: int | None
    """The revision up to which the client knows its inbox; None: not at all."""


class LiveAdmission:
    """Finds out whose connection it is. All its methods raise `LiveRefusal` if it is nobody's.

    Args:
        authentication: Of the HTTP API.
        tickets: Takes tickets.
        quotas: Of users; each token or ticket is a request.
    """

    def __init__(self, authentication: Authentication, tickets: TicketDesk, quotas: Quotas) -> None:
        self._authentication = authentication
        self._tickets = tickets
        self._quotas = quotas

    async def of_handshake(self, scope: Scope) -> Started | None:
        """By the header or the address; None if the first frame will say."""
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        authorization = dict(scope["headers"]).get(b"authorization")
        ticket = query["ticket"][-1] if "ticket" in query else None
        if authorization is None and ticket is None:
            return None
        since = revision_in_query(query["since"][-1] if "since" in query else None)
        if authorization is not None:
            return Started(await self._of_header(authorization), since)
        return Started(await self._of_ticket(ticket or ""), since)

    async def of_frame(self, text: str) -> Started:
        """By a client's first frame."""
        frame = start_frame(text)
        if frame.ticket is not None:
            return Started(await self._of_ticket(frame.ticket), frame.since)
        return Started(await self.of_token(frame.token or ""), frame.since)

    async def of_token(self, token: str) -> Access:
        """By a token alone."""
        return await self._of_header(b"Bearer " + token.encode("utf-8", "replace"))

    async def _of_ticket(self, text: str) -> Access:
        ticket = await self._tickets.take(text)
        user = EndUser(
            ticket.user.user_id, ticket.user.tenant, ticket.issued_at, ticket.token_expires_at
        )
        with _refusals():
            self._authentication.check_not_revoked(user)
            self._quotas.take(user.quota_key)
        return access_of(user)

    async def _of_header(self, authorization: bytes) -> Access:
        with _refusals():
            sender = await self._authentication.sender(authorization)
            if not isinstance(sender, EndUser):
                raise LiveRefusal(CloseCode.UNAUTHENTICATED)
            self._quotas.take(sender.quota_key)
        return access_of(sender)


def access_of(user: EndUser) -> Access:
    """What a user's token permits."""
    issued = None if user.issued_at is None else user.issued_at.timestamp()
    until = user.expires_at.timestamp() + LEEWAY  # as long as requests with it would be answered
    return Access(user.tenant, user.subject, until, issued)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except TokenRevoked:
        raise LiveRefusal(CloseCode.REVOKED) from None
    except ApiProblem as problem:
        codes = {
            UNAUTHENTICATED: CloseCode.UNAUTHENTICATED,
            RATE_LIMITED: CloseCode.TOO_MANY,
        }
        raise LiveRefusal(codes.get(problem.kind, CloseCode.TRY_LATER)) from None
