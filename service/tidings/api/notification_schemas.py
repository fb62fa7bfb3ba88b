"""Notifications in the OpenAPI document: the fields of the contract's published schemas.

Which content goes with which, and how deep JSON may be nested, stays with those: generators make types of such rules that
nobody can read.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tidings.operations.submissions.listing import MOST
from tidings_events import CHANNELS
from tidings_events.export.json_schemas import json_schema

ADDRESSED: Final = "Notification"
"""Ends the names of schemas with one recipient: `EmailNotification`."""
TO_MANY: Final = "Submission"
"""Ends those with one recipient, or with several."""
RECIPIENTS: Final = {
    "type": "array",
    "minItems": 1,
    "maxItems": MOST,
    "description": "Instead of `recipient`: addresses, or objects with `recipient`, `user_id` and `locale`.",
    "items": {
        "oneOf": [
            {"type": "string"},
            {
                "type": "object",
                "required": ["recipient"],
                "properties": {
                    "recipient": {"type": "string"},
                    "user_id": {"type": "string"},
                    "locale": {"type": "string"},
                },
                "additionalProperties": False,
            },
        ]
    },
}
_REF: Final = "#/components/schemas/"
_ANY: Final[Mapping[str, Mapping[str, Any]]] = {"Json": {}, "JsonObject": {"type": "object"}}


def any_channel(kind: str) -> dict[str, Any]:
    """A notification of any channel.

    Args:
        kind: `ADDRESSED` or `TO_MANY`.
    """
    mapping = {channel: f"{_REF}{_name(channel, kind)}" for channel in CHANNELS}
    return {
        "oneOf": [{"$ref": reference} for reference in mapping.values()],
        "discriminator": {"propertyName": "channel", "mapping": mapping},
    }


def components() -> Iterator[tuple[str, Any]]:
    """Name and schema of each that `any_channel` refers to, and of what they refer to."""
    for channel in CHANNELS:
        published = json_schema(channel)
        properties = _over_http(published["properties"])
        required = set(published["required"])
        many = {**properties, "recipients": RECIPIENTS}
        yield _name(channel, ADDRESSED), _object(published, properties, required - {"id"})
        yield _name(channel, TO_MANY), _object(published, many, required - {"id", "recipient"})
        for name, part in published["$defs"].items():
            if name not in _ANY:
                yield name, _moved(part)


def _over_http(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of AMQP as they are here. What follows from the key has no default: generated clients would send it."""
    tenant, test = (
        {part: value for part, value in fields[name].items() if part != "default"}
        for name in ("tenant", "test")
    )
    return {
        **fields,
        "tenant": {
            **tenant,
            "description": "The key's, if left out; only a key of all tenants may name another.",
        },
        "test": {
            **test,
            "description": f"{test['description']} What a test key submits is one in any case.",
        },
        "scheduled_at": {
            "type": ["string", "null"],
            "description": "Deliver at this time: RFC 3339 with an offset, or a local time beside `timezone`; at most a "
            "year ahead.",
        },
        "timezone": {
            "type": ["string", "null"],
            "description": "IANA name of the zone of a `scheduled_at` without an offset, e.g. `Europe/Berlin`.",
        },
    }


def _object(
    published: Mapping[str, Any], properties: Mapping[str, Any], required: set[str]
) -> dict[str, Any]:
    return {
        "type": "object",
        "description": published["description"],
        "required": sorted(required),
        "properties": _moved(properties),
        "additionalProperties": False,
    }


def _name(channel: str, kind: str) -> str:
    return f"{channel.capitalize()}{kind}"


def _moved(part: Any) -> Any:
    """With its references into `components`."""
    if isinstance(part, list):
        return [_moved(each) for each in part]
    if not isinstance(part, dict):
        return part
    if isinstance(reference := part.get("$ref"), str):
        name = reference.rpartition("/")[2]
        return _ANY.get(name, {"$ref": f"{_REF}{name}"})
    return {name: _moved(each) for name, each in part.items()}
