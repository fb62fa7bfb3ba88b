"""`python -m benchmarks`: measures, shows a table, and writes the report."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.base import PEERS_PYTHON, ROOT, Contender
from benchmarks.plot import plot
from benchmarks.report import report
from benchmarks.results import Results, load, save
from benchmarks.run import Plan, run
from benchmarks.starting import starts
from benchmarks.table import show
from benchmarks.targets import QUICK, TARGETS, judge, missed
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.base import Workload
from tidings_local.errors import LocalStackError

QUICK_CONTENDERS = ("Tidings", "bare loop", "Dramatiq")
LAST = ROOT / "docs" / "performance.json"
QUICK_SCALE = 0.5
QUICK_REPEATS = 3
QUICK_LIMIT = 150.0


def main() -> int:
    """Runs what was asked for; 1 where `--quick` finds a target missed, 2 where it can't run."""
    options = _options()
    if not Path(PEERS_PYTHON).exists():
        sys.stderr.write("error: the peers are not installed: run it by `make bench`\n")
        return 2
    try:
        return quick(options.data) if options.quick else full(options)
    except LocalStackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def quick(data: Path) -> int:
    """W1 of Tidings, the bare loop and the best peer, and the start of two commands; writes nothing.

    Measured against the targets, and where the last whole run missed one, against what that run reached.
    """
    contenders = [contender for contender in CONTENDERS if contender.about.name in QUICK_CONTENDERS]
    workloads = [workload for workload in WORKLOADS if workload.name == "W1"]
    results = run(Plan(workloads, contenders, QUICK_SCALE, QUICK_LIMIT, data, QUICK_REPEATS), print)
    last = load(LAST) if LAST.exists() else results
    verdicts = [*judge(results, [target.kept(last) for target in QUICK]), *starts()]
    show(results, workloads, verdicts)
    return 1 if missed(verdicts) else 0


def full(options: argparse.Namespace) -> int:
    """The chosen workloads; writes the page, the figures and the plot."""
    workloads, contenders = _workloads(options.only), _contenders(options.contenders)
    plan = Plan(
        workloads, contenders, options.scale, options.minutes * 60, options.data, options.repeats
    )
    results = run(plan, print)
    show(
        results, workloads, judge(results, [it for it in TARGETS if it.workload in _names(results)])
    )
    out = _out(options)
    _write(results, out)
    print(f"written: {out}/performance.md, performance.json, performance.svg")
    return 0


def _write(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save(results, folder / "performance.json")
    (folder / "performance.md").write_text(report(results, WORKLOADS), "utf-8")
    (folder / "performance.svg").write_text(plot(results), "utf-8")


def _names(results: Results) -> set[str]:
    return {*results.workloads(), "all"}


def _workloads(names: str) -> Sequence[Workload]:
    wanted = names.replace(",", " ").split() or [workload.name for workload in WORKLOADS]
    if unknown := set(wanted) - {workload.name for workload in WORKLOADS}:
        raise SystemExit(f"error: there is no workload {', '.join(sorted(unknown))}")
    return [workload for workload in WORKLOADS if workload.name in wanted]


def _contenders(names: str) -> Sequence[Contender]:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := set(wanted) - {contender.about.name for contender in CONTENDERS}:
        raise SystemExit(f"error: there is no contender {', '.join(sorted(unknown))}")
    return [contender for contender in CONTENDERS if not wanted or contender.about.name in wanted]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="W1 and the start of two commands, against their targets",
    )
    parser.add_argument("--scale", type=float, default=1.0, help="1 is the real thing")
    parser.add_argument("--only", default="", help='workloads, e.g. "W1 W5"')
    parser.add_argument("--contenders", default="", help='e.g. "Tidings,bare loop"')
    parser.add_argument("--repeats", type=int, help="instead of each workload's own")
    parser.add_argument("--minutes", type=float, default=50, help="begin nothing new after these")
    parser.add_argument("--data", type=Path, default=ROOT / ".local" / "bench")
    parser.add_argument(
        "--out", type=Path, help="where the report goes: docs/, or DATA/report for a part of it"
    )
    return parser.parse_args()


def _out(options: argparse.Namespace) -> Path:
    """The committed page is that of a whole run: a part must not take its place unasked."""
    whole = options.scale == 1 and not (options.only.strip() or options.contenders.strip())
    return Path(options.out or (ROOT / "docs" if whole else options.data / "report"))


if __name__ == "__main__":
    sys.exit(main())
