"""The AsyncAPI document: where producers publish, with which routing key, headers and body."""

from typing import Any

from tidings_events.export.examples import examples_of
from tidings_events.export.json_schemas import VERSION
from tidings_events.notifications import CHANNELS, MODELS
from tidings_events.notifications.base import Priority
from tidings_events.routing import EXCHANGE, MILLISECONDS, TRACEPARENT

_AMQP_BINDING = "0.3.0"


def asyncapi() -> dict[str, Any]:
    """An AsyncAPI 3.1 document, from the point of view of Tidings, which receives."""
    return {
        "asyncapi": "3.1.0",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": {"rabbitmq": _server()},
        "channels": {channel: _channel(channel) for channel in CHANNELS},
        "operations": {f"deliver{_title(channel)}": _operation(channel) for channel in CHANNELS},
        "components": {
            "messages": {channel: _message(channel) for channel in CHANNELS},
            "messageTraits": {"traced": {"headers": _headers()}},
        },
    }


def _title(channel: str) -> str:
    return MODELS[channel].__name__.removesuffix("Notification")


def _info() -> dict[str, Any]:
    return {
        "title": "Tidings notifications",
        "version": f"{VERSION}.0.0",
        "description": "Publish a notification and Tidings delivers it. Publish persistent and "
        "mandatory, and wait for the broker's confirm: an unconfirmed notification may be published "
        "again with the same id and is delivered once. A producer with PostgreSQL may instead insert it "
        "into its own database, in its own transaction: `tidings outbox relay` publishes it from there.",
        "license": {"name": "Apache-2.0"},
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{host}:{port}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": "RabbitMQ 3.10 or later.",
        "variables": {"host": {"default": "localhost"}, "port": {"default": "5672"}},
    }


def _channel(channel: str) -> dict[str, Any]:
    return {
        "address": f"{channel}.{{priority}}",
        "title": f"{_title(channel)} notifications",
        "description": "The address is the routing key.",
        "parameters": {
            "priority": {
                "description": "The notification's `priority`.",
                "enum": [priority.value for priority in Priority],
                "default": Priority.NORMAL.value,
            }
        },
        "servers": [{"$ref": "#/servers/rabbitmq"}],
        "messages": {channel: {"$ref": f"#/components/messages/{channel}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": EXCHANGE,
                    "type": "topic",
                    "durable": True,
                    "autoDelete": False,
                    "vhost": "/",
                },
                "bindingVersion": _AMQP_BINDING,
            }
        },
    }


def _operation(channel: str) -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": f"Tidings delivers it as {_title(channel)}.",
        "messages": [{"$ref": f"#/channels/{channel}/messages/{channel}"}],
        "bindings": {
            "amqp": {
                "deliveryMode": 2,
                "mandatory": True,
                "ack": True,
                "bindingVersion": _AMQP_BINDING,
            }
        },
    }


def _message(channel: str) -> dict[str, Any]:
    return {
        "name": channel,
        "title": f"{_title(channel)} notification",
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/traced"}],
        "correlationId": {
            "description": "The notification's id.",
            "location": "$message.payload#/id",
        },
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./v{VERSION}/{channel}.schema.json"},
        },
        "examples": [
            {"name": name, "payload": payload} for name, payload in examples_of(channel).items()
        ],
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Headers that start with `x-tidings-` are Tidings' own: don't set them.",
        "properties": {
            TRACEPARENT: {
                "type": "string",
                "description": "W3C Trace Context, carried through to the delivery.",
                "examples": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            },
            MILLISECONDS: {
                "type": "integer",
                "description": "Time of publication, in milliseconds since 1970 (UTC): delays are measured from it.",
                "examples": [1796169600000],
            },
        },
    }
