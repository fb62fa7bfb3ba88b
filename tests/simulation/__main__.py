"""`python -m tests.simulation`: many seeds, or one with all that happened."""

import argparse
import sys
from collections.abc import Sequence
from time import monotonic

from tests.simulation.run import Report, simulate


def main(arguments: Sequence[str] | None = None) -> int:
    """Play seeds; 1 where any of them went wrong."""
    options = _options(arguments)
    if options.seed is not None:
        return _show(simulate(options.seed, aloud=options.logs))
    return _many(range(options.first, options.first + options.count), traces=options.traces)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one and show what happened")
    parser.add_argument("--logs", action="store_true", help="show what the code logs as well")
    parser.add_argument("--first", type=int, default=0, help="the first of many (default: 0)")
    parser.add_argument("--count", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--traces", action="store_true", help="tell each seed's trace by a hash")
    return parser.parse_args(arguments)


def _show(report: Report) -> int:
    _say(str(report.trace), "", str(report), f"  {report.summary}")
    return bool(report.violations)


def _many(seeds: range, *, traces: bool) -> int:
    began, failed = monotonic(), 0
    for seed in seeds:
        report = simulate(seed)
        failed += bool(report.violations)
        if report.violations:
            _say(str(report))
        if traces:
            _say(f"{seed} {report.fingerprint}")
    if not traces:
        _say(f"{len(seeds)} seeds in {monotonic() - began:.1f} s: {failed} went wrong")
    return bool(failed)


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join((*lines, "")))


if __name__ == "__main__":
    sys.exit(main())
