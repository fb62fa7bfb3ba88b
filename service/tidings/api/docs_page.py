"""The page `/docs`: the OpenAPI document as one HTML page, without scripts and without anything from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from itertools import groupby
from typing import Any, Final

CONTENT_SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --code: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 13px/1.5 ui-monospace, monospace; background: var(--code); border-radius: 4px; padding: .1em .3em; }
pre { padding: .8em; overflow: auto; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .3em .8em .3em 0; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5em 0; padding: .5em .8em; }
summary { cursor: pointer; overflow-wrap: anywhere; }
.method { display: inline-block; min-width: 4.5em; font-weight: 600; }
.dim { color: var(--dim); }
"""


def page(document: Mapping[str, Any]) -> bytes:
    """The page."""
    body = "".join(_body(document))
    info = document["info"]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>{body}</html>'
    ).encode()


def _body(document: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])} API <span class=dim>{escape(info['version'])}</span></h1>"
    yield _paragraphs(info["description"])
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
    for tag, members in groupby(operations_of(document), key=lambda operation: operation[0]):
        yield f"<h2>{escape(tag.capitalize())}</h2>"
        for _, path, method, operation in members:
            yield from _operation(path, method, operation)
    yield "<h2>Schemas</h2>"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<details id="{escape(name)}"><summary>{escape(name)}</summary>{_json(schema)}</details>'


def operations_of(document: Mapping[str, Any]) -> list[tuple[str, str, str, Mapping[str, Any]]]:
    """Tag, path, method and description of each operation, by tag."""
    operations = [
        (operation["tags"][0], path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return sorted(operations, key=lambda operation: operation[0])


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    name = escape(operation["operationId"])
    yield f'<details id="{name}">'
    yield f"<summary><span class=method>{method.upper()}</span> <code>{escape(path)}</code> "
    yield f"<span class=dim>{escape(operation['summary'])}</span></summary>"
    yield _paragraphs(operation.get("description", ""))
    if parameters := operation.get("parameters"):
        yield "<h3>Parameters</h3><table>"
        for parameter in parameters:
            required = " (required)" if parameter.get("required") else ""
            yield f"<tr><td><code>{escape(parameter['name'])}</code><td>{parameter['in']}{required}"
            yield f"<td>{_text(parameter.get('description', ''))}"
        yield "</table>"
    if body := operation.get("requestBody"):
        yield "<h3>Body</h3>"
        yield from _contents(body)
    yield "<h3>Replies</h3>"
    for status, reply in operation["responses"].items():
        yield f"<details><summary><code>{status}</code> {_text(reply['description'])}</summary>"
        yield from _contents(reply)
        yield "</details>"
    yield "</details>"


def _contents(holder: Mapping[str, Any]) -> Iterator[str]:
    for media_type, content in holder.get("content", {}).items():
        schema = content.get("schema", {})
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        link = f' – <a href="#{escape(name)}">{escape(name)}</a>' if name else ""
        yield f"<p><code>{escape(media_type)}</code>{link}</p>"
        if not name and "example" not in content:
            yield _json(schema)
        if "example" in content:
            yield _json(content["example"])


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(part)}</p>" for part in text.split("\n\n") if part)


def _text(text: str) -> str:
    """Escaped; what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def _json(value: object) -> str:
    if isinstance(value, str):
        return f"<pre>{escape(value)}</pre>"
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
