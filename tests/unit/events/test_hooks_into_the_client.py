"""Every inner part of aiormq that `tidings_events.Producer` relies on: an upgrade that moves one fails here."""

from collections.abc import Callable
from inspect import getsource, signature
from typing import Any

import aiormq
import pytest
from aiormq.exceptions import AMQPConnectionError, ChannelInvalidStateError


def takes(function: Callable[..., Any], *names: str) -> bool:
    return {*names} <= {*signature(function).parameters}


HOOKS: dict[str, Callable[[], bool]] = {
    "a channel publishes with wait and mandatory": lambda: takes(
        aiormq.Channel.basic_publish, "wait", "mandatory", "properties"
    ),
    "a channel tells returned messages apart by message_id": lambda: (
        "message_id_delivery_tag" in getsource(aiormq.Channel)
    ),
    "a channel's closing is a future": lambda: (
        "asyncio.Future" in getsource(aiormq.Channel.closing.fget)  # type: ignore[attr-defined]
    ),
    "a channel has confirms on, and raises what was returned": lambda: takes(
        aiormq.Channel, "publisher_confirms", "on_return_raises"
    ),
    "a connection takes context and client_properties": lambda: (
        takes(aiormq.Connection, "context")
        and takes(aiormq.Connection.connect, "client_properties")
    ),
    "a connection is closed with the error for those who wait": lambda: takes(
        aiormq.Connection.close, "exc"
    ),
    "a closed channel is a RuntimeError, a lost connection an OSError": lambda: (
        issubclass(ChannelInvalidStateError, RuntimeError)
        and issubclass(AMQPConnectionError, OSError)
    ),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_into_aiormq_is_where_it_was(hook: str) -> None:
    try:
        holds = HOOKS[hook]()
    except (AttributeError, TypeError, OSError) as error:
        pytest.fail(f"no longer true: {hook} ({error}); the producer relies on it")
    assert holds, f"no longer true: {hook}; the producer relies on it"
