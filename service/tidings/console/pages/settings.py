"""Every setting of the process that serves this page: its value, default and meaning; secrets are hidden."""

import os
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from tidings.console import equivalents
from tidings.console.page import ConsolePage, Html, Visit
from tidings.operations.scopes import Scope
from tidings.settings.variables import Variable, unknown, variables


async def _list(visit: Visit) -> Html:
    settings, text, changed = (
        visit.backend.settings,
        visit.query("name").upper(),
        visit.query("set") == "true",
    )
    every = list(variables(settings))
    chosen = [
        variable for variable in every if (variable.is_set or not changed) and text in variable.name
    ]
    return Html(
        "settings.html",
        {
            "sections": _sections(chosen),
            "count": len(chosen),
            "count_set": sum(variable.is_set for variable in every),
            "count_all": len(every),
            "changed": changed,
            "name": visit.query("name"),
            "problems": [variable.message for variable in unknown(settings, os.environ)],
            "cli": equivalents.command("settings", changed=changed),
        },
    )


def _sections(chosen: Sequence[Variable]) -> Sequence[tuple[str, Sequence[Variable]]]:
    return [
        (section.rstrip("."), list(members))
        for section, members in groupby(chosen, lambda variable: variable.section)
    ]


PAGES: Final = (ConsolePage("GET", "/settings", _list, Scope.OPERATE, all_tenants=True),)
