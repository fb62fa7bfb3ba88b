"""How the columns of a batch reach PostgreSQL: as arrays, and values that are all the same only once."""

from collections.abc import Iterable


def parameters(*types: str, after: int = 0) -> str:
    """Parameters for `unnest`, of which the first has a value for each row, and others may be `packed`."""
    first, *others = (f"${place}::{kind}[]" for place, kind in enumerate(types, start=after + 1))
    spread = (
        f"CASE cardinality({parameter}) WHEN 1 THEN array_fill(({parameter})[1], ARRAY[cardinality({first})]) ELSE {parameter} END"
        for parameter in others
    )
    return ", ".join([first, *spread])


def packed(columns: Iterable[list[object]]) -> list[list[object]]:
    """The first as it is; of the others one value where all are the same, as it is in most.

    Each value costs the driver half a microsecond.
    """
    first, *others = columns
    return [first, *(_once(values) for values in others)]


def _once(values: list[object]) -> list[object]:
    return values[:1] if values and values.count(values[0]) == len(values) else values
