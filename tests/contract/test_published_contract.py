"""What is published for producers in other languages: current, true to the parser, and kept."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from tests.support.npm import install

from tidings_events import CHANNELS, InvalidNotification, Priority, parse
from tidings_events.export import differing, write
from tidings_events.export.__main__ import main
from tidings_events.export.asyncapi import asyncapi
from tidings_events.routing import EXCHANGE, routing_key
from tidings_local.errors import LocalStackError

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "schemas" / "published"
EXAMPLES = sorted(PUBLISHED.glob("v*/examples/*.json"))
# A name is added with each new example. One that is taken away breaks a promise.
PROMISED = {
    "v1/email-full", "v1/email-international", "v1/email-minimal", "v1/email-scheduled",
    "v1/email-template", "v1/email-tenant", "v1/email-test", "v1/sms-full", "v1/sms-minimal", "v1/sms-scheduled",
    "v1/sms-template", "v1/webhook-full", "v1/webhook-minimal", "v1/webhook-scheduled", "v1/whatsapp-full",
    "v1/whatsapp-minimal", "v1/whatsapp-scheduled", "v1/whatsapp-template",
    "v1/in_app-full", "v1/in_app-minimal", "v1/in_app-scheduled", "v1/in_app-template",
}  # fmt: skip


def validator(channel: str) -> Draft202012Validator:
    schema = json.loads((PUBLISHED / "v1" / f"{channel}.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_what_is_published_is_current() -> None:
    assert differing(PUBLISHED) == []


def test_no_example_was_ever_taken_away() -> None:
    names = {f"{path.parts[-3]}/{path.stem}" for path in EXAMPLES}
    promised = {name.partition("-")[0] for name in PROMISED}  # a new channel promises nothing yet
    kept = {name for name in names if name.partition("-")[0] in promised}
    assert kept >= PROMISED
    assert kept == PROMISED, "name the new example here, so that it is kept"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_ever_published_is_read(path: Path) -> None:
    written = json.loads(path.read_bytes())
    notification = parse(path.read_bytes())
    assert notification.channel == written["channel"]
    again = json.loads(notification.to_json())
    assert {name: again[name] for name in written} | _times(written) == written


def _times(written: dict[str, Any]) -> dict[str, Any]:
    # An offset may be written in several ways; that the moment is the same is tested elsewhere.
    return {name: value for name, value in written.items() if name.endswith("_at")}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_conforms_to_its_schema(path: Path) -> None:
    example = json.loads(path.read_bytes())
    validator(example["channel"]).validate(example)


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_has_a_minimal_a_full_and_a_scheduled_example(channel: str) -> None:
    names = {path.stem for path in EXAMPLES}
    assert names >= {f"{channel}-{kind}" for kind in ("minimal", "full", "scheduled")}


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_schema_names_its_version_and_dialect(channel: str) -> None:
    schema = validator(channel).schema
    assert schema["$id"] == f"urn:tidings:events:v1:{channel}"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"id", "channel", "recipient"} <= set(schema["required"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_pattern_is_one_that_any_language_takes(channel: str) -> None:
    """JavaScript with its u flag (ajv) takes no needless escape, RE2 (Go) no look-around and no \\u."""
    patterns = list(_patterns(validator(channel).schema))

    assert len(patterns) > 10
    for pattern in patterns:
        assert "(?" not in pattern
        assert "\\" not in re.sub(r"\\[\^$\\.*+?()\[\]{}|/]", "", pattern), pattern


def test_a_schema_names_no_format_that_validators_refuse_to_know() -> None:
    """ajv, strict by default, compiles no schema with a format that it has not heard of."""
    text = "".join(path.read_text("utf-8") for path in (PUBLISHED / "v1").glob("*.schema.json"))

    assert set(re.findall(r'"format": "([^"]*)"', text)) == {"uuid", "date-time", "uri"}


def test_ajv_compiles_every_schema_strictly_and_takes_every_example() -> None:
    """A producer in Node compiles them so; what is only odd to others is an error there."""
    ajv = ROOT / ".local" / "ajv"
    node = Path(__file__).with_name("node")
    try:
        install(node / "package.json", ajv)
    except LocalStackError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    found = subprocess.run(
        ["node", str(node / "validate.js"), str(PUBLISHED / "v1")],
        check=False, capture_output=True, text=True,
        env={**os.environ, "NODE_PATH": str(ajv / "node_modules")},
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    judged = json.loads(found.stdout)
    assert set(judged["schemas"]) == set(CHANNELS)
    assert judged["verdicts"] == {path.name: [True, False] for path in EXAMPLES}


def _patterns(schema: Any) -> Iterator[str]:
    match schema:
        case dict():
            for name, part in schema.items():
                if name == "pattern" and isinstance(part, str):
                    yield part
                elif name == "patternProperties":
                    yield from part
                yield from _patterns(part)
        case list():
            for part in schema:
                yield from _patterns(part)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("email-minimal", {"id": None}),
    ("email-minimal", {"id": "1"}),
    ("email-minimal", {"version": 2}),
    ("email-minimal", {"channel": "fax"}),
    ("email-minimal", {"recipient": None}),
    ("email-minimal", {"recipient": "anna"}),
    ("email-minimal", {"recipient": 5}),
    ("email-minimal", {"priority": "asap"}),
    ("email-minimal", {"category": "Big News"}),
    *(("email-minimal", {"tenant": odd}) for odd in ("", "Acme", "-acme", "a b", "a" * 65, 5)),
    *(("email-minimal", {"test": odd}) for odd in ("true", "", 1, 0, "yes")),
    ("email-minimal", {"colour": "red"}),
    ("email-minimal", {"subject": None}),
    ("email-minimal", {"body": None}),
    ("email-minimal", {"template": "receipt"}),
    ("email-minimal", {"subject": "a\r\nBcc: eve@example.org"}),
    ("email-minimal", {"subject": ""}),
    ("email-minimal", {"max_retries": "3"}),
    ("email-minimal", {"max_retries": 101}),
    ("email-minimal", {"cc": "bob@example.org"}),
    ("email-minimal", {"headers": {"X A": "1"}}),
    ("email-minimal", {"headers": {"X-A": "a\nb"}}),
    ("email-minimal", {"headers": {"LIST-Unsubscribe": "<https://example.org/ü>"}}),
    ("email-minimal", {"headers": {"Feedback-ID": "x" * 999}}),
    ("email-minimal", {"attachments": [{"filename": "a"}]}),
    ("email-minimal", {"entity": {"type": "order"}}),
    ("email-minimal", {"metadata": {"a": [1]}}),
    ("email-minimal", {"user_id": ""}),
    ("email-minimal", {"locale": "pt BR"}),
    ("email-template", {"template": "../secret"}),
    ("email-template", {"html": "<p>"}),
    ("sms-minimal", {"recipient": "0041 44 668 18 00"}),
    ("sms-minimal", {"body": "x" * 1601}),
    ("sms-minimal", {"body": None}),
    ("sms-minimal", {"template": "otp"}),
    ("sms-minimal", {"sender": "Twelve chars"}),
    ("sms-minimal", {"subject": "Hello"}),
    ("whatsapp-minimal", {"body": None}),
    ("whatsapp-minimal", {"content_sid": "HX0123456789abcdef0123456789abcdef"}),
    ("whatsapp-minimal", {"content_variables": {"1": "x"}}),
    ("whatsapp-full", {"content_variables": {"a b": "x"}}),
    ("whatsapp-full", {"content_variables": {"1": 5}}),
    ("whatsapp-full", {"content_sid": "HX12"}),
    ("webhook-minimal", {"payload": None}),
    ("webhook-minimal", {"payload": []}),
    ("webhook-minimal", {"event_type": "invoice paid"}),
    ("webhook-minimal", {"template": "x"}),
    ("webhook-minimal", {"recipient": "https://user:pw@example.org/"}),
    ("webhook-minimal", {"recipient": "https://example.org/#top"}),
    ("webhook-minimal", {"recipient": "ftp://example.org/"}),
    ("in_app-minimal", {"title": None}),
    ("in_app-minimal", {"title": None, "body": "Hello"}),
    ("in_app-minimal", {"title": "two\nlines"}),
    ("in_app-minimal", {"title": "x" * 201}),
    ("in_app-minimal", {"body": "x" * 4_001}),
    ("in_app-minimal", {"recipient": ""}),
    ("in_app-minimal", {"recipient": "user\n4711"}),
    ("in_app-minimal", {"recipient": "x" * 256}),
    ("in_app-minimal", {"severity": "fatal"}),
    ("in_app-minimal", {"type": "Order shipped"}),
    ("in_app-minimal", {"template": "order-shipped"}),
    ("in_app-template", {"body": "Hello"}),
    ("in_app-minimal", {"action_url": "javascript:alert(1)"}),
    ("in_app-minimal", {"action_url": "JavaScript:alert(1)"}),
    ("in_app-minimal", {"action_url": "//evil.example/a"}),
    ("in_app-minimal", {"action_url": "/\\evil.example/a"}),
    ("in_app-minimal", {"action_url": "/\t/evil.example/a"}),
    ("in_app-minimal", {"action_url": "https:evil.example"}),
    ("in_app-minimal", {"action_url": "https://user@evil.example/"}),
    ("in_app-minimal", {"action_url": "data:text/html,x"}),
    ("in_app-minimal", {"action_url": "orders/10042"}),
    ("in_app-minimal", {"action_url": " /orders"}),
    ("in_app-minimal", {"action_url": "/" + "x" * 2_048}),
    ("in_app-minimal", {"actions": [{"id": "a", "label": "A"}] * 3}),
    ("in_app-minimal", {"actions": [{"id": "a", "label": "x" * 41}]}),
    ("in_app-minimal", {"actions": [{"id": "a", "label": "A", "url": "//evil.example"}]}),
    ("in_app-minimal", {"actions": [{"id": "a", "label": "A", "style": "red"}]}),
    ("in_app-minimal", {"actions": [{"label": "A"}]}),
]


@pytest.mark.parametrize(("example", "change"), WRONG, ids=lambda value: str(value)[:40])
def test_parser_and_schema_refuse_the_same(example: str, change: dict[str, Any]) -> None:
    original = json.loads((PUBLISHED / "v1" / "examples" / f"{example}.json").read_bytes())
    changed = {name: value for name, value in {**original, **change}.items() if value is not None}
    assert not validator(original["channel"]).is_valid(changed)
    with pytest.raises(InvalidNotification):
        parse(json.dumps(changed).encode())


def document() -> Any:
    return yaml.safe_load((PUBLISHED / "asyncapi.yaml").read_text("utf-8"))


def test_the_asyncapi_document_reads_back_as_it_was_made() -> None:
    assert document() == asyncapi()


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    whole = document()
    references = list(_references(whole))
    assert len(references) > 4 * len(CHANNELS)
    for reference in references:
        file, _, pointer = reference.partition("#")
        target = json.loads((PUBLISHED / file).read_text("utf-8")) if file else whole
        for step in filter(None, pointer.split("/")):
            target = target[step]
        assert target


def _references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for item in value.values():
                yield from _references(item)
        case list():
            for item in value:
                yield from _references(item)


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_asyncapi_document_routes_as_the_producer_does(channel: str) -> None:
    described = document()["channels"][channel]
    assert described["bindings"]["amqp"]["exchange"]["name"] == EXCHANGE
    priorities = described["parameters"]["priority"]["enum"]
    assert priorities == [priority.value for priority in Priority]
    path = PUBLISHED / "v1" / "examples" / f"{channel}-full.json"
    assert routing_key(parse(path.read_bytes())) in {
        described["address"].format(priority=priority) for priority in priorities
    }


class TestExport:
    def test_it_writes_what_is_missing_and_leaves_what_it_does_not_know(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        old = tmp_path / "v0" / "examples" / "old.json"
        old.parent.mkdir(parents=True)
        old.write_text("{}")
        assert main(["--directory", str(tmp_path)]) == 0
        assert "wrote v1/email.schema.json" in capsys.readouterr().out
        assert differing(tmp_path) == []
        assert old.read_text() == "{}"
        assert write(tmp_path) == []

    def test_check_names_what_differs_and_the_remedy(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path)
        assert main(["--check", "--directory", str(tmp_path)]) == 0
        (tmp_path / "v1" / "sms.schema.json").write_text("{}")
        (tmp_path / "asyncapi.yaml").unlink()
        assert main(["--check", "--directory", str(tmp_path)]) == 1
        report = capsys.readouterr().err
        assert "sms.schema.json is not current" in report
        assert "asyncapi.yaml is not current" in report
        assert "email" not in report
        assert "run `make schemas`" in report
        assert (tmp_path / "v1" / "sms.schema.json").read_text() == "{}"

    def test_a_directory_that_is_not_there_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--directory", str(tmp_path / "none")]) == 2
        assert "none; name one with --directory" in capsys.readouterr().err


def test_every_notification_in_the_documentation_is_valid() -> None:
    text = (ROOT / "docs" / "contract.md").read_text("utf-8")
    blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= len(CHANNELS)
    assert {parse(block.encode()).channel for block in blocks} == set(CHANNELS)


def test_every_field_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "contract.md").read_text("utf-8")
    fields = {name for channel in CHANNELS for name in validator(channel).schema["properties"]}
    assert [name for name in sorted(fields) if f"| `{name}` |" not in text] == []
