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
from tests.chaos.servers import serving
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
    asked = _arguments()
    chosen = _chosen(asked)
    if asked.list:
        for one in chosen:
            console.print(f"{one.number:>2} {one.name:<28} {one.checks:<10} {one.title}")
        return 0
    seed = random.SystemRandom().getrandbits(32) if asked.seed is None else asked.seed
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # its connections are cut all the time
    folder = FOLDER / datetime.now().strftime("%Y%m%d-%H%M%S")  # noqa: DTZ005  # a folder's name
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runs = runner.run(_run(chosen, asked, seed, folder))
    report.show(console, runs)
    report.save(folder / "report.json", runs, seed=seed)
    console.print(f"\nseed {seed}, report {folder / 'report.json'}")
    if asked.write is not None:
        report.write(asked.write, runs, _about(seed, runs))
    passed = all(run["passed"] for run in runs)
    return 0 if passed else 1


async def _run(
    chosen: Sequence[Scenario], asked: argparse.Namespace, seed: int, folder: Path
) -> list[dict[str, Any]]:
    runs = []
    interval = 0.5 if (asked.count or 0) < LONG else 2.0  # they cost a tenth of a core
    started = serving(tree=_tree(asked), fsync=not asked.no_fsync, statistics_interval=interval)
    async with started as servers:
        for one in chosen:
            options = _options(one, asked, seed, folder)
            console.print(f"[dim]{one.number or ''} {one.name} …[/]")
            result = await run(servers, one, options)
            if result.could_not_be_played and options.mutant is None:
                console.print(f"  could not be played, so once more: {result.error}", markup=False)
                result = await run(servers, one, options)
            runs.append(result.as_data())
            told = "[green]passed[/]" if result.passed else "[red]failed[/]"
            console.print(
                f"  {told}, {result.verdict.confirmed:,} confirmed, {result.verdict.lost} lost, "
                f"{result.verdict.duplicates} twice, {result.seconds:.0f} s, {result.rate:,.0f}/s"
            )
            for line in report.complaints(runs[-1]):
                console.print(line, style="red", markup=False, soft_wrap=True)
            if result.passed and not asked.keep:
                shutil.rmtree(options.folder)
    return runs


def _options(one: Scenario, asked: argparse.Namespace, seed: int, folder: Path) -> Options:
    mutant = asked.mutant
    if asked.mutants:
        mutant = one.mutant
    options = Options(asked.count or one.count, seed, folder.absolute() / one.name, mutant)
    if asked.kills is not None:
        options = replace(options, kills=asked.kills)
    return replace(options, seconds=asked.seconds or options.seconds, patience=asked.patience)


def _chosen(asked: argparse.Namespace) -> list[Scenario]:
    every = sorted(REGISTRY.values(), key=lambda one: one.number)
    numbered = [one for one in every if one.number]
    if asked.random:
        asked.seconds = _seconds(asked.random)
        return [REGISTRY["random"]]
    if not asked.scenario:
        return [REGISTRY["storm"]] if asked.kills is not None else numbered
    return list(_named(asked.scenario, every))


def _named(words: Iterable[str], every: Sequence[Scenario]) -> Iterable[Scenario]:
    for word in (part for text in words for part in text.replace(",", " ").split()):
        found = [one for one in every if word in (one.name, str(one.number))]
        if not found or word == "0":
            sys.exit(f"there is no scenario {word!r}: see `make chaos LIST=1`")
        yield found[0]


def _tree(asked: argparse.Namespace) -> Path | None:
    return None if asked.debian is None else folder_of(asked.debian)


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
    parser.add_argument("--no-fsync", action="store_true", help="a faster PostgreSQL")
    asked = parser.parse_args()
    asked.seconds = None
    return asked


if __name__ == "__main__":
    sys.exit(main())
