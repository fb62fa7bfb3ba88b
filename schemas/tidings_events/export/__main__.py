"""`python -m tidings_events.export`: write the published schemas, or check that they are current."""

import argparse
import sys
from pathlib import Path

import tidings_events
from tidings_events.export import differing, write


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 all current (now), 1 something differs (--check), 2 no such directory."""
    parser = argparse.ArgumentParser(prog="python -m tidings_events.export", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    parser.add_argument(
        "--directory", type=Path, default=_beside_the_source(), help="where they are"
    )
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        return _finish(f"there is no directory {options.directory}; name one with --directory", 2)
    if not options.check:
        return _finish("".join(f"wrote {path}\n" for path in write(options.directory)), 0)
    stale = differing(options.directory)
    report = "".join(f"{options.directory / path} is not current\n" for path in stale)
    return _finish(
        f"{report}run `make schemas` and commit the result" if stale else "", bool(stale)
    )


def _beside_the_source() -> Path:
    return Path(tidings_events.__file__).parents[1] / "published"


def _finish(text: str, status: int) -> int:
    if text:
        stream = sys.stderr if status else sys.stdout
        stream.write(f"{text.rstrip()}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
