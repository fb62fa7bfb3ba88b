"""A package's `SPEC` is all that the rest of Tidings needs to know a channel by."""

from typing import Literal

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.doubles.inbox import SERVICES

from tidings.broker.topology.layout import topology_of
from tidings.channels import registry
from tidings.channels.settings import ChannelSettings
from tidings.channels.spec import ChannelSpec
from tidings.cli.settings_document import markdown
from tidings.delivery.errors import ConfigurationError
from tidings.runtime.environment.reading import section
from tidings.settings import Settings
from tidings.settings.variables import unknown, variables
from tidings.telemetry.metrics import Metrics
from tidings_events import BaseNotification


class PigeonNotification(BaseNotification):
    """A message tied to a leg."""

    channel: Literal["pigeon"] = "pigeon"


class PigeonSettings(ChannelSettings):
    """Homing pigeons."""

    model_config = section("TIDINGS_PIGEON_")

    loft: str = ""
    """Where they start; the channel is off where empty."""
    ringed: bool = False


@pytest.fixture(autouse=True)
def _pigeon(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ChannelSpec(
        notification=PigeonNotification,
        settings=PigeonSettings,
        configured=lambda settings, _: bool(settings.loft),
        variables="TIDINGS_PIGEON_LOFT",
        recorded_as=lambda settings, _: f"loft:{settings.loft}",
        build=lambda setup: ScriptedChannel("pigeon"),
    )
    monkeypatch.setitem(registry._specs, spec.name, spec)


async def test_its_settings_switch_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="set TIDINGS_PIGEON_LOFT"):
        registry.build(Settings(), SERVICES, only=["pigeon"])
    assert "pigeon: TIDINGS_PIGEON_LOFT" in registry.how_to_configure()

    monkeypatch.setenv("TIDINGS_PIGEON_LOFT", "Basel")

    assert "pigeon" in registry.build(Settings(), SERVICES)


def test_its_variables_are_known_and_documented() -> None:
    every = list(variables(Settings()))
    found = {variable.name: variable for variable in every}

    assert found["TIDINGS_PIGEON_LOFT"].meaning.startswith("Where they start")
    assert found["TIDINGS_PIGEON_LOFT"].section == "Homing pigeons."
    assert "| `TIDINGS_PIGEON_LOFT` |" in markdown(every)
    assert [
        variable.nearest for variable in unknown(Settings(), {"TIDINGS_PIGEON_LOFTS": "x"})
    ] == ["TIDINGS_PIGEON_LOFT"]


def test_a_variable_without_a_sentence_has_no_meaning() -> None:
    found = {variable.name: variable for variable in variables(Settings())}

    assert found["TIDINGS_PIGEON_RINGED"].meaning == ""


def test_it_has_lanes_and_retry_queues() -> None:
    queues = {queue.name for queue in topology_of(Settings()).queues}

    assert {"tidings.pigeon.normal", "tidings.pigeon.urgent", "tidings.pigeon.retry.1m"} <= queues


def test_its_counters_begin_at_zero() -> None:
    metrics = Metrics()
    metrics.expect(Settings().channels)

    counted = metrics.registry.get_sample_value("tidings_requeued_total", {"channel": "pigeon"})
    assert counted == 0
