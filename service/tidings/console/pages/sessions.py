"""Who is signed in to the console; an admin ends a session at once."""

from typing import Final

from tidings.console.equivalents import command, curl
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.operations import sessions
from tidings.operations.scopes import Scope
from tidings.operations.sessions import EndSessionRequest, ListSessionsRequest


async def _list(visit: Visit) -> Html:
    request = ListSessionsRequest(visit.tenant, visit.test)
    found = await sessions.list_(visit.backend, request)
    commands = (
        command("sessions", "list", tenant=visit.tenant),
        command("sessions", "end", "ID", note="…"),
    )
    requests = (
        curl(visit, "GET", "/v1/sessions"),
        curl(visit, "DELETE", "/v1/sessions/{}", "ID", note="…"),
    )
    values = {"sessions": found.data, "cli": "\n".join(commands), "curl": "\n".join(requests)}
    return Html("sessions/list.html", values)


async def _end(visit: Visit) -> SeeOther:
    request = EndSessionRequest(visit.path["id"], visit.tenant, visit.test, visit.form.text("note"))
    ended = await sessions.end_other(visit.backend, visit.actor, request)
    return SeeOther("/sessions", f"The session of {ended.session.name} was ended.")


PAGES: Final = (
    ConsolePage("GET", "/sessions", _list, Scope.ADMIN),
    ConsolePage("POST", "/sessions/{id}/end", _end, Scope.ADMIN),
)
