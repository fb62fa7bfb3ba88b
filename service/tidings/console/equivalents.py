"""The command and the HTTP request that do what a button of a page does, quoted for a shell, so that they can be pasted."""

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from tidings.console.page import Visit

KEY: Final = '"Authorization: Bearer $KEY"'
"""The key stays a variable of the reader's shell."""
Option = str | int | float | bool | None | list[str]


def command(*words: str, **options: Option) -> str:
    """A command: `command("dead", "discard", id, note="test data")` is `tidings dead discard 1f0c… --note 'test data'`.

    Args:
        words: Its name, then its arguments.
        options: By name, `stop_at` for `--stop-at`. None, False and nothing are left out, True is a flag, a list is
            repeated.
    """
    parts = ["tidings", *map(shlex.quote, words)]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        for each in value if isinstance(value, list) else [value]:
            if each is True:
                parts.append(option)
            elif each is not None and each is not False and each != "":
                text = str(each)
                # What begins with a hyphen would be read as an option of its own.
                parts.append(
                    f"{option}={shlex.quote(text)}"
                    if text.startswith("-")
                    else f"{option} {shlex.quote(text)}"
                )
    return " ".join(parts)


def curl(
    visit: Visit,
    method: str,
    path: str,
    *parts: str,
    body: Mapping[str, Any] | None = None,
    **query: Any,
) -> str:
    """A request to the API: `curl(visit, "POST", "/v1/jobs/{}/pause", id, body={"note": "lunch"})`.

    Args:
        visit: The request for the page, which has the address of this service.
        method: `GET`, `POST` …
        path: With `{}` for each of `parts`.
        parts: What stands in the path.
        body: Its JSON.
        query: Parameters; None, False and nothing are left out.
    """
    origin = visit.backend.settings.console.url or str(visit.request.base_url)
    address = origin.rstrip("/") + path.format(*(quote(part, safe="") for part in parts))
    given = {
        name: "true" if value is True else value
        for name, value in query.items()
        if value not in (None, False, "", [])
    }
    if given:
        address += f"?{urlencode(given, doseq=True)}"
    words = ["curl", *([] if method == "GET" else ["-X", method]), "-H", KEY, shlex.quote(address)]
    if body is not None:
        text = json.dumps(body, ensure_ascii=False)
        words += ["-H", '"Content-Type: application/json"', "-d", shlex.quote(text)]
    return " ".join(words)
