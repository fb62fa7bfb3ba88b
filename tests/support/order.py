"""The order in which several processes run the files of tests."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

LONG: Final = 300
"""Seconds: a test that may take so long is begun first, so that nobody waits for it at the end."""
DEPTH: Final = 3
"""Names of folders that tell what kind of test it is: `tests/integration/worker`."""


def spread(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests of each kind evenly over the whole run: some need the processors, others wait most of the time.

    A file stays together, its tests in their order.
    """
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.path].append(item)
    kinds = {
        path: path.relative_to(its[0].config.rootpath).parent.parts[:DEPTH]
        for path, its in files.items()
    }
    sizes, seen = Counter(kinds.values()), Counter[tuple[str, ...]]()
    places: dict[Path, float] = {}
    for path, kind in kinds.items():
        places[path] = (seen[kind] + 0.5) / sizes[kind]
        seen[kind] += 1
        if any(map(_is_long, files[path])):
            places[path] = 0
    ordered = sorted(files, key=places.__getitem__)
    return [item for path in ordered for item in files[path]]


def _is_long(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("timeout")
    return marker is not None and bool(marker.args) and marker.args[0] >= LONG
