"""`make chaos`: runs scenarios, prints what came of them, and fails where an invariant does."""

import argparse
import asyncio
import logging
import pkgutil
import random
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console
from tests.chaos import report, scenarios
from tests.chaos.scenario import REGISTRY, Scenario, run
from tests.chaos.servers import Servers, serving
from tests.chaos.world import Options
from tests.support.other_debian import folder_of

FOLDER: Final = Path(".local/chaos")
LONG: Final = 100_000
"""Notifications from which on a run is as frugal as it can be."""
console: Final = Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def main() -> int:
    """Run what was asked for."""
    for module in pkgutil.iter_modules(scenarios.__path__):
        import_module(f"{scenarios.__name__}.{module.name}")  # which registers its scenarios
    arguments = _arguments()
    chosen = _chosen(arguments)
    if arguments.list:
        for scenario in chosen:
            console.print(
                f"{scenario.number:>2} {scenario.name:<28} {scenario.checks:<10} {scenario.title}"
            )
        return 0
    seed = random.SystemRandom().getrandbits(32) if arguments.seed is None else arguments.seed
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # its connections are cut all the time
    folder = FOLDER / datetime.now().strftime("%Y%m%d-%H%M%S")  # noqa: DTZ005  # a folder's name
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runs = runner.run(_run(chosen, arguments, seed, folder))
    report.show(console, runs)
    report.save(folder / "report.json", runs, seed=seed)
    console.print(f"\nseed {seed}, report {folder / 'report.json'}")
    if arguments.write is not None:
        report.write(arguments.write, runs, _about(seed, runs))
    passed = all(run["passed"] for run in runs)
    return 0 if passed else 1


async def _run(
    chosen: Sequence[Scenario], arguments: argparse.Namespace, seed: int, folder: Path
) -> list[dict[str, Any]]:
    """On as many sets of servers as scenarios are played at once: each set plays the next that is left."""
    left = iter(chosen)
    runs: list[dict[str, Any]] = []
    interval = 0.5 if (arguments.count or 0) < LONG else 2.0  # they cost a tenth of a core

    async def play() -> None:
        started = serving(
            tree=_tree(arguments), fsync=not arguments.no_fsync, statistics_interval=interval
        )
        async with started as servers:
            for scenario in left:
                runs.append(await _played(servers, scenario, arguments, seed, folder))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(arguments.at_once, len(chosen))):
            group.create_task(play())
    return sorted(runs, key=lambda run: run["number"])


async def _played(
    servers: Servers, scenario: Scenario, arguments: argparse.Namespace, seed: int, folder: Path
) -> dict[str, Any]:
    options = _options(scenario, arguments, seed, folder)
    name = f"{scenario.number or ''} {scenario.name}".strip()
    console.print(f"[dim]{name} …[/]")
    result = await run(servers, scenario, options)
    if result.could_not_be_played and options.mutant is None:
        console.print(f"  {name} could not be played, so once more: {result.error}", markup=False)
        result = await run(servers, scenario, options)
    data = result.as_data()
    verdict = "[green]passed[/]" if result.passed else "[red]failed[/]"
    console.print(
        f"  {name} {verdict}, {result.verdict.confirmed:,} confirmed, {result.verdict.lost} lost, "
        f"{result.verdict.duplicates} twice, {result.seconds:.0f} s, {result.rate:,.0f}/s"
    )
    for line in report.complaints(data):
        console.print(line, style="red", markup=False, soft_wrap=True)
    if result.passed and not arguments.keep:
        shutil.rmtree(options.folder)
    return data


def _options(scenario: Scenario, arguments: argparse.Namespace, seed: int, folder: Path) -> Options:
    mutant = arguments.mutant
    if arguments.mutants:
        mutant = scenario.mutant
    options = Options(
        arguments.count or scenario.count, seed, folder.absolute() / scenario.name, mutant
    )
    if arguments.kills is not None:
        options = replace(options, kills=arguments.kills)
    return replace(
        options, seconds=arguments.seconds or options.seconds, patience=arguments.patience
    )


def _chosen(arguments: argparse.Namespace) -> list[Scenario]:
    every = sorted(REGISTRY.values(), key=lambda scenario: scenario.number)
    numbered = [scenario for scenario in every if scenario.number]
    if arguments.random:
        arguments.seconds = _seconds(arguments.random)
        return [REGISTRY["random"]]
    if not arguments.scenario:
        return [REGISTRY["storm"]] if arguments.kills is not None else numbered
    return list(_named(arguments.scenario, every))


def _named(words: Iterable[str], every: Sequence[Scenario]) -> Iterable[Scenario]:
    for word in (part for text in words for part in text.replace(",", " ").split()):
        found = [scenario for scenario in every if word in (scenario.name, str(scenario.number))]
        if not found or word == "0":
            sys.exit(f"there is no scenario {word!r}: see `make chaos LIST=1`")
        yield found[0]


def _tree(arguments: argparse.Namespace) -> Path | None:
    return None if arguments.debian is None else folder_of(arguments.debian)


def _seconds(text: str) -> float:
    from tidings.delivery.delay import seconds

    return seconds(text)


def _about(seed: int, runs: Sequence[dict[str, Any]]) -> str:
    day = datetime.now().strftime("%Y-%m-%d")  # noqa: DTZ005  # where it ran
    return f"Written by `make chaos` on {day}, seed {seed}, {len(runs)} scenarios."


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--scenario", action="append", help="a number or a name; all where left out"
    )
    parser.add_argument("--count", type=int, help="notifications for each scenario")
    parser.add_argument("--seed", type=int, help="draw the same load and faults as another run")
    parser.add_argument("--kills", type=int, help="a storm: kill so often, evenly over the load")
    parser.add_argument("--random", metavar="10m", help="draw faults and load for so long")
    parser.add_argument("--mutant", help="take a protection out: see tests/chaos/mutants.py")
    parser.add_argument("--mutants", action="store_true", help="each scenario with its own mutant")
    parser.add_argument("--keep", action="store_true", help="keep the folders of runs that passed")
    parser.add_argument("--list", action="store_true", help="say which scenarios there are")
    parser.add_argument("--write", type=Path, metavar="FILE", help="bring a document up to date")
    parser.add_argument("--debian", type=int, help="with the servers of this Debian: 13 or 14")
    parser.add_argument("--patience", type=float, default=1.0, help="times that limits are longer")
    parser.add_argument(
        "--at-once",
        type=int,
        default=1,
        help="scenarios played at once, each on servers of its own",
    )
    parser.add_argument("--no-fsync", action="store_true", help="a faster PostgreSQL")
    arguments = parser.parse_args()
    arguments.seconds = None
    return arguments


if __name__ == "__main__":
    sys.exit(main())
