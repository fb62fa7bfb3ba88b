"""Example messages, to copy from; every later version must still accept them.

Add new examples at the end of a model's; never change or remove one.
"""

from typing import Any

from tidings_events.notifications import MODELS


def examples_of(channel: str) -> dict[str, dict[str, Any]]:
    """A channel's examples by name, the shortest first."""
    hundred = 100 * (1 + list(MODELS).index(channel))
    return {
        f"{channel}-{name}": {
            "id": f"0193a5c4-2c00-7000-8000-{hundred + number:012}",
            "version": 1,
            "channel": channel,
            **fields,
        }
        for number, (name, fields) in enumerate(MODELS[channel].examples.items(), start=1)
    }


EXAMPLES: dict[str, dict[str, Any]] = {
    name: body for channel in MODELS for name, body in examples_of(channel).items()
}
