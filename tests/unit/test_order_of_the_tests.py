"""The order in which several processes run the tests: kinds mixed, files whole, long ones first."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.order import LONG, spread

ROOT = Path("/checkout")


def item(path: str, name: str = "test", timeout: float | None = None) -> Any:
    marker = None if timeout is None else SimpleNamespace(args=(timeout,))
    return SimpleNamespace(
        path=ROOT / path,
        name=name,
        config=SimpleNamespace(rootpath=ROOT),
        get_closest_marker=lambda _: marker,
    )


def order(*items: Any) -> list[str]:
    return [f"{it.path.relative_to(ROOT)}" for it in spread(items)]


def test_each_kind_is_spread_evenly_over_the_run() -> None:
    worker = [f"tests/integration/worker/test_{n}.py" for n in range(2)]
    unit = [f"tests/unit/cli/test_{n}.py" for n in range(4)]
    assert order(*map(item, worker), *map(item, unit)) == [
        unit[0],
        worker[0],
        unit[1],
        unit[2],
        worker[1],
        unit[3],
    ]


def test_a_file_stays_together_in_its_order() -> None:
    first = [item("tests/a/test_x.py", name) for name in ("one", "two")]
    other = [item("tests/b/test_y.py", name) for name in ("three", "four")]
    ordered = spread([first[0], other[0], first[1], other[1]])
    assert [it.name for it in ordered] == ["one", "two", "three", "four"]


def test_a_file_with_a_test_that_may_take_long_is_begun_first() -> None:
    files = [item(f"tests/a/test_{n}.py") for n in range(3)]
    long = item("tests/a/test_z.py", timeout=LONG)
    short = item("tests/a/test_y.py", timeout=LONG - 1)
    assert order(*files, short, long)[0] == "tests/a/test_z.py"
