"""A JSON Schema for each channel's notifications, for producers in any language.

The parser's further rules are listed in docs/contract.md; a test compares the two.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from tidings_events.notifications import MODELS
from tidings_events.notifications.fields import JSON_IN_SCHEMA

VERSION = 1
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Writers(GenerateJsonSchema):
    """The schema of a *written* notification. Nullability is added at the end, for all fields alike."""

    schema_dialect = DIALECT

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema(channel: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a channel's notifications."""
    model = MODELS[channel]
    schema = model.model_json_schema(schema_generator=_Writers)
    properties = schema.pop("properties")
    # Readers in any language need them, so writers in any language must give them.
    required = sorted({*schema.pop("required"), "id", "channel"}, key=list(properties).index)
    properties["channel"].pop("default")
    definitions = schema.setdefault("$defs", {})
    for part in properties.values():
        if part.get("additionalProperties") is True:  # pydantic generates no more for it
            part.update(JSON_IN_SCHEMA["JsonObject"])
    definitions.update(JSON_IN_SCHEMA)
    for part in (schema | {"properties": properties, "required": required}, *definitions.values()):
        _make_nullable(part)
    rest = {name: part for name, part in schema.items() if name not in {"title", "description"}}
    return {
        "$schema": DIALECT,
        "$id": f"urn:tidings:events:v{VERSION}:{channel}",
        "title": f"{channel} notification, version {VERSION}",
        "description": _description(model),
        "properties": properties,
        "required": required,
        **rest,
    }


def _make_nullable(schema: dict[str, Any]) -> None:
    """Make optional fields nullable: many serialisers write null for unset fields."""
    for name, part in schema.get("properties", {}).items():
        if name in schema.get("required", ()):
            continue
        if isinstance(part.get("type"), str) and part.keys().isdisjoint({"const", "enum"}):
            part["type"] = [part["type"], "null"]
            continue
        value = {key: part.pop(key) for key in ("$ref", "const", "enum", "type") if key in part}
        part["anyOf"] = [value, {"type": "null"}]


def _description(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())
