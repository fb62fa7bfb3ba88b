"""People: what one person got of late, in words that a support agent can read out."""

from typing import Final
from urllib.parse import quote

from tidings.console.equivalents import command, curl
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.console.sealing import opened, sealed
from tidings.operations import people
from tidings.operations.people import PersonRequest

PATH: Final = "/people"
LONGEST: Final = 500
"""Characters of what is typed: it becomes part of an address."""
PURPOSE: Final = "person"
TYPED: Final = "typed:"
"""Before what a person typed, which the page may show again."""
HIDDEN: Final = "hidden:"
"""Before what they came to from a notification, where it is masked."""


def page_of(visit: Visit, text: str, *, typed: bool) -> SeeOther:
    """The page of a person, whose address tells nobody else who it is.

    Args:
        visit: The request.
        text: An address, a phone number or a user's id.
        typed: Whether the visitor has typed it, and so may see it.
    """
    shut = sealed(visit.visitor, (TYPED if typed else HIDDEN) + text, PURPOSE)
    return SeeOther(f"{PATH}/{quote(shut)}")


async def _ask(_: Visit) -> Html:
    return Html("people/find.html", {"problem": ""})


async def _find(visit: Visit) -> SeeOther | Html:
    typed = visit.form.text("person")
    if not 0 < len(typed) <= LONGEST:
        problem = (
            f"Type an address, a phone number or a user's id, of at most {LONGEST} characters."
        )
        return Html("people/find.html", {"problem": problem}, 422)
    return page_of(visit, typed, typed=True)


async def _show(visit: Visit) -> Html:
    reference = opened(visit.visitor, visit.path["person"], PURPOSE)
    if reference is None:
        problem = "This person was looked up in another session: type the address again."
        return Html("people/find.html", {"problem": problem}, 404)
    typed = reference.startswith(TYPED)
    text = reference.removeprefix(TYPED if typed else HIDDEN)
    request = PersonRequest(text, visit.tenant, visit.test)
    view = await people.look_up(visit.backend, visit.actor, request)
    cli, curl_ = _equivalents(visit, text) if typed else ("", "")
    values = {
        "view": view,
        "text": text if typed else "",
        "problem": "",
        "days": people.DAYS,
        "cli": cli,
        "curl": curl_,
    }
    return Html("people/show.html", values)


def _equivalents(visit: Visit, text: str) -> tuple[str, str]:
    cli = command("who", text, tenant=visit.tenant, test=visit.test)
    return cli, curl(visit, "POST", "/v1/people/search", body={"person": text}, test=visit.test)


PAGES: Final = (
    ConsolePage("GET", PATH, _ask),
    ConsolePage("POST", PATH, _find),
    ConsolePage("GET", f"{PATH}/{{person}}", _show),
)
