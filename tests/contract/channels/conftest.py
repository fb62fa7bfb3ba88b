"""Every rig there is, and waiting on conditions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest
import uvloop
from tests.conftest import fresh_database
from tests.contract.channels.rig import BROKEN, EXPECTED, SILENT, Behaviour, Rig, Within


def _rigs() -> dict[str, type[Rig]]:
    modules = sorted(path.stem for path in (Path(__file__).parent / "rigs").glob("*_rig.py"))
    found = {name: import_module(f"tests.contract.channels.rigs.{name}").RIG for name in modules}
    return {name.removesuffix("_rig"): rig for name, rig in found.items()}


RIGS = _rigs()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the service runs on: its transports differ from asyncio's in many a detail."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test with every rig, and where it takes a behaviour, with those the rig can show."""
    for argument in ("failure", "answer", "silence", "refusal", "fault"):
        if argument in metafunc.fixturenames:
            shown = [(name, rig, _shown(rig, argument)) for name, rig in RIGS.items()]
            cases = [(rig, each) for _, rig, behaviours in shown for each in behaviours]
            ids = [f"{name}-{each}" for name, _, behaviours in shown for each in behaviours]
            metafunc.parametrize(("rig", argument), cases, indirect=["rig"], ids=ids)
            return
    if "rig" in metafunc.fixturenames:
        metafunc.parametrize("rig", RIGS.values(), indirect=True, ids=RIGS.keys())


def _shown(rig: type[Rig], argument: str) -> list[Behaviour]:
    failures = rig.speaks & EXPECTED.keys()
    wanted = {
        "failure": failures,
        "answer": failures - BROKEN,
        "silence": rig.speaks & SILENT,
        "refusal": rig.speaks & {Behaviour.REJECTED},
    }
    return sorted(wanted.get(argument, rig.faults))


@pytest.fixture(scope="session")
def inbox_database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """A database with the tables of inboxes, for all tests of this folder."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


@pytest.fixture
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """One channel's provider, running; made of the fixtures that the rig names."""
    made = [request.getfixturevalue(name) for name in getattr(request.param, "fixtures", ())]
    async with request.param(*made) as running:
        yield running


@pytest.fixture
def within() -> Within:
    """Waits until a condition holds."""

    async def wait(condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # what is waited for knows no events
                await asyncio.sleep(0.005)

    return wait
