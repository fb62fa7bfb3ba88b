"""The parser and the published JSON Schemas say the same of every message, but for what the document lists."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from tidings_events import CHANNELS, InvalidNotification, parse

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "schemas" / "published" / "v1"
EXAMPLES = {
    path.stem: json.loads(path.read_bytes()) for path in (PUBLISHED / "examples").glob("*.json")
}

BEYOND_THE_SCHEMA = {
    "a telephone number that its country's numbering plan does not have": "is not a valid phone number",
    "a domain or a local part that internationalised names can't have": (
        "is not an email address|has a domain without a dot|has a domain that ends in a number"
    ),
    "an address whose octets, on the wire, are more than 64 before the `@` or 254 in all": (
        "octets before the @|is longer than 254 octets"
    ),
    "a day that its month does not have": "value is outside expected range|is not a valid|invalid",
    "`expires_at` that is not after `scheduled_at`, and times more than a year ahead": (
        "is not after `scheduled_at`|is more than a year ahead"
    ),
    "a header named twice, in upper and lower case": "names a header twice",
    "a `content_id` used twice, and attachments of more than 7 MiB together": (
        "use a `content_id` twice|bytes together"
    ),
    "an `id` used twice in `actions`, and `data` of more than 16,384 bytes on the channel `in_app`": (
        "use an `id` twice|are allowed on this channel"
    ),
    "`data` and `payload` nested more than 64 deep, or with more than 50,000 values": (
        "is nested more than 64 deep|holds more than 50,000 values"
    ),
    "half of a surrogate pair, bytes that are not UTF-8, and a message larger than the table above": (
        "half of a surrogate pair|is not UTF-8|is not valid JSON|at most 10,485,760 are allowed|"
        "holds more than 55,000 values|bytes in memory"
    ),
}
"""What the parser refuses and the schema takes: as docs/contract.md names it, and as the parser says it."""


def _matches(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    """As ECMA-262, and so JSON Schema, reads a pattern: `$` is the end, and not the last line's."""
    if isinstance(value, str) and not re.search(re.sub(r"\$(?=$|\))", r"\\Z", pattern), value):
        yield ValidationError(f"does not match {pattern}")


Validator = extend(Draft202012Validator, {"pattern": _matches})
SCHEMAS = {
    channel: Validator(json.loads((PUBLISHED / f"{channel}.schema.json").read_bytes()))
    for channel in CHANNELS
}


def problems(message: dict[str, Any]) -> tuple[str, ...]:
    try:
        parse(json.dumps(message).encode())
    except InvalidNotification as invalid:
        return invalid.problems
    return ()


def listed(problem: str) -> bool:
    return any(re.search(rule, problem) for rule in BEYOND_THE_SCHEMA.values())


def compare(message: dict[str, Any]) -> None:
    """That both take it, both refuse it, or the parser refuses it for a reason that is listed."""
    if message.get("version") is True:
        return  # Python's 1, and so pydantic's; nobody writes it
    refused = problems(message)
    taken = SCHEMAS[message["channel"]].is_valid(message)
    if refused and taken:
        assert all(listed(problem) for problem in refused), refused
    if not refused:
        assert taken, next(SCHEMAS[message["channel"]].iter_errors(message)).message


EMAIL = {"id": "0193a5c4-2c00-7000-8000-000000000080", "channel": "email", "recipient": "a@b.org"}
WRITTEN = {**EMAIL, "subject": "s", "body": "b"}
TEMPLATED = {**EMAIL, "template": "welcome"}
WEBHOOK = {**EMAIL, "channel": "webhook", "recipient": "https://e.org/", "event_type": "a.b"}
IN_APP = {**EMAIL, "channel": "in_app", "recipient": "user-4711", "title": "t"}
FILE = {"filename": "a", "content": "aGk="}
REFUSED_BY_BOTH: list[dict[str, Any]] = [
    {**WRITTEN, "headers": {"From": "x"}},
    {**WRITTEN, "headers": {"rEPLY-tO": "x"}},
    {**WRITTEN, "headers": {"X-Tidings-Id": "x"}},
    {**WRITTEN, "headers": {"Content-Language": "x"}},
    {**WRITTEN, "headers": {"List-Id": "ü"}},
    {**WRITTEN, "attachments": [{**FILE, "filename": "a/b"}]},
    {**WRITTEN, "attachments": [{**FILE, "filename": ".."}]},
    {**WRITTEN, "attachments": [{**FILE, "filename": "a\tb"}]},
    {**WRITTEN, "attachments": [{**FILE, "content": "@@"}]},
    {**WRITTEN, "attachments": [{**FILE, "content": "aGk"}]},
    *(
        {**WRITTEN, "attachments": [{**FILE, "content": odd}]}
        for odd in ("aG k=", "AAAA==", "AAAA====", "A===")
    ),
    {**WRITTEN, "attachments": [{**FILE, "content_type": "message/rfc822"}]},
    {**WRITTEN, "attachments": [{**FILE, "content_type": "Multipart/mixed"}]},
    {**WRITTEN, "body": "a\0b"},
    {**WRITTEN, "subject": "a\0b"},
    *(
        {**WRITTEN, **fields}
        for sign in "\0\n\r\t\x1b\x7f\x85\u2028\u202e\u2066\u200f"
        for fields in (
            {"user_id": f"a{sign}"},
            {"idempotency_key": f"{sign}a"},
            {"entity": {"type": "order", "id": sign}},
            {"metadata": {f"a{sign}b": 1}},
        )
    ),
    {**WRITTEN, "user_id": "a\0"},
    {**WRITTEN, "idempotency_key": "a\0"},
    {**WRITTEN, "entity": {"type": "order", "id": "\0"}},
    {**WRITTEN, "metadata": {"a\0": 1}},
    {**WRITTEN, "metadata": {"a": "\0"}},
    {**WRITTEN, "metadata": {"a": None}},
    {**TEMPLATED, "data": {"a": ["\0"]}},
    {**TEMPLATED, "data": {"a": [{"\0": 1}]}},
    {**WRITTEN, "subject": None},
    {**WRITTEN, "body": None},
    {**TEMPLATED, "template": None},
    {**TEMPLATED, "subject": "s"},
    {**WRITTEN, "max_retries": 2.5},
    {**WRITTEN, "max_retries": True},
    {**WRITTEN, "id": "1"},
    {**WRITTEN, "id": None},
    {**WRITTEN, "scheduled_at": "2026-12-24T18:00:00"},
    {**WRITTEN, "scheduled_at": "2026-13-24T18:00:00Z"},
    {**WRITTEN, "recipient": "user@192.168.0.1"},
    {**WRITTEN, "recipient": "user@[192.0.2.1]"},
    {**WRITTEN, "recipient": f"{'x' * 67}@example.com"},
    {**WRITTEN, "recipient": '"a b"@example.com'},
    {**WEBHOOK, "payload": {}, "recipient": "https://example.org:99999/"},
    {**WEBHOOK, "payload": {}, "recipient": "https://example.org:0/"},
    {**WEBHOOK, "payload": {}, "recipient": "https://example.org:/"},
    {**WEBHOOK, "payload": {}, "recipient": "https://example.org/ä"},
    {**WEBHOOK, "payload": {}, "recipient": "https://example.org/a\\b"},
    {**WEBHOOK, "payload": {}, "recipient": "https://exa mple.org/"},
    {**WEBHOOK, "payload": None},
    {**WEBHOOK, "payload": {"a": float("inf")}},
]
TAKEN_BY_BOTH: list[dict[str, Any]] = [
    {**WRITTEN, "max_retries": 3.0},
    {**WRITTEN, "version": 1.0},
    *(
        {**WRITTEN, name: None}
        for name in ("cc", "bcc", "data", "metadata", "headers", "locale", "priority")
    ),
    *(
        {**WRITTEN, name: None}
        for name in ("attachments", "user_id", "html", "template", "max_retries")
    ),
    *({**WRITTEN, name: None} for name in ("category", "version", "entity", "tenant")),
    {**WRITTEN, "attachments": [{**FILE, "content_type": None, "content_id": None}]},
    {**WRITTEN, "attachments": [{**FILE, "content": ""}]},
    {**TEMPLATED, "subject": None, "body": None},
    {**TEMPLATED, "data": {"a": [None, {"b": [True, 1.5, "ü"]}]}},
    {**WRITTEN, "recipient": "try..this@docomo.ne.jp"},
    {**WRITTEN, "recipient": '"try..this"@docomo.ne.jp'},
    {**WRITTEN, "recipient": "name.@ezweb.ne.jp"},
    {**WRITTEN, "recipient": "用户@例子.广告"},
    {**WRITTEN, "locale": "pt_BR"},
    {**WRITTEN, "locale": "de-DE-u-co-phonebk"},
    {**WRITTEN, "id": "0193A5C42C0070008000000000000080"},
    {**WRITTEN, "id": "{0193a5c4-2c00-7000-8000-000000000080}"},
    {**WRITTEN, "id": "urn:uuid:0193a5c4-2c00-7000-8000-000000000080"},
    {**WRITTEN, "scheduled_at": "2026-01-24 18:00+0100"},
    {**WEBHOOK, "payload": {}, "recipient": "HTTPS://Example.org:00443?a={b}|c^d"},
    {**WEBHOOK, "payload": {}, "recipient": "http://[::1]:8080/a%2Fb/../c"},
    {**EMAIL, "channel": "whatsapp", "recipient": "+5215512345678", "body": "b"},
    {
        **EMAIL,
        "channel": "whatsapp",
        "recipient": "+14155550123",
        "body": "b",
        "content_variables": {},
    },
    *(
        {**IN_APP, "action_url": link}
        for link in (
            *("/", "/a//b?c=d#e", "https://e.org", "HTTP://E.org:8080/a#b", "https://[::1]/a?b"),
            "https://e.org?a=//b",
        )
    ),
    {**IN_APP, "actions": [{"id": "a", "label": "A", "url": None}, {"id": "b", "label": "ü"}]},
    {**IN_APP, "severity": None, "type": None, "data": {"a": "x" * 16_000}},
]


def shown(value: Any) -> str:
    return str({name: value[name] for name in value if name not in EMAIL or name == "recipient"})[
        :60
    ]


@pytest.mark.parametrize("message", REFUSED_BY_BOTH, ids=shown)
def test_both_refuse(message: dict[str, Any]) -> None:
    assert problems(message)
    assert not SCHEMAS[message["channel"]].is_valid(message)


@pytest.mark.parametrize("message", TAKEN_BY_BOTH, ids=shown)
def test_both_take(message: dict[str, Any]) -> None:
    assert problems(message) == ()
    SCHEMAS[message["channel"]].validate(message)


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "message",
    [
        {**EMAIL, "channel": "sms", "recipient": "+15551234567", "body": "b"},
        {**WRITTEN, "recipient": "anna@xn--a.example"},
        {**WRITTEN, "recipient": f"{'ü' * 33}@example.org"},
        {**WRITTEN, "recipient": f"{'a' * 62}@{('b' * 61 + '.') * 3}example"},
        {**WRITTEN, "expires_at": "2027-02-30T18:00:00Z"},
        {
            **WRITTEN,
            "scheduled_at": "2026-01-05T10:00:00+02:00",
            "expires_at": "2026-01-05T08:00:00Z",
        },
        {**WRITTEN, "headers": {"X": "a", "x": "b"}},
        {**IN_APP, "actions": [{"id": "a", "label": "A"}] * 2},
        {**IN_APP, "data": {"a": "x" * 16_384}},
        {**WRITTEN, "attachments": [{**FILE, "content_id": "a"}] * 2},
        {**TEMPLATED, "data": deep(65)},
        {**TEMPLATED, "data": {"a": [0] * 50_001}},
        {**WRITTEN, "body": "\ud800"},
    ],
    ids=shown,
)
def test_what_only_the_parser_refuses_is_listed(message: dict[str, Any]) -> None:
    refused = problems(message)

    assert SCHEMAS[message["channel"]].is_valid(message)
    assert refused
    assert all(listed(problem) for problem in refused)


@pytest.mark.parametrize("rule", BEYOND_THE_SCHEMA)
def test_the_document_lists_it(rule: str) -> None:
    text = " ".join((ROOT / "docs" / "contract.md").read_text("utf-8").split())

    assert rule in text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
ODD = st.text(alphabet='aA0.@-_+"/:;\\[]{}?#%&=\0\r\n\t üßİ。', max_size=12)


def parts_of(value: Any) -> list[tuple[Any, ...]]:
    """Where every value inside of a message is."""
    match value:
        case dict():
            below = [(key, *path) for key, item in value.items() for path in parts_of(item)]
        case list():
            below = [(index, *path) for index, item in enumerate(value) for path in parts_of(item)]
        case _:
            below = []
    return [(), *below]


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    inner = changed(value[path[0]], path[1:], change)
    if isinstance(value, dict):
        return {**value, path[0]: inner}
    return [*value[: path[0]], inner, *value[path[0] + 1 :]]


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """An example in which one or two values, wherever they are, have become odd."""
    message = draw(st.sampled_from([EXAMPLES[name] for name in sorted(EXAMPLES)]))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(
            st.sampled_from([each for each in parts_of(message) if each != ("channel",)][1:])
        )
        other = draw(ODD | ANYTHING)
        message = changed(message, path, lambda old, other=other: _odder(draw, old, other))
    return message


def _odder(draw: st.DrawFn, old: Any, other: Any) -> Any:
    """Another value, or the old one with something put in."""
    if not (isinstance(old, str) and isinstance(other, str) and draw(st.booleans())):
        return other
    place = draw(st.integers(0, len(old)))
    return old[:place] + other + old[place + draw(st.integers(0, 2)) :]


@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
@given(messages())
def test_an_example_with_something_odd_in_it_is_judged_alike(message: dict[str, Any]) -> None:
    compare(message)


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(
            sorted({name for example in EXAMPLES.values() for name in example} - {"channel"})
        ),
        ANYTHING,
        max_size=4,
    ),
    st.sampled_from(sorted(EXAMPLES)),
)
def test_an_example_with_other_fields_is_judged_alike(fields: dict[str, Any], name: str) -> None:
    compare({**EXAMPLES[name], **fields})
