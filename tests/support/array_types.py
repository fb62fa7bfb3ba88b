"""PostgreSQL's own array types, made known to asyncpg, which otherwise asks for them on each connection: 15 ms of CPU.

Tests open thousands of connections for a few statements each. The tests of the installed command let it ask.
"""

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any, Final

import asyncpg

ELEMENTS: Final = {
    199: (114, "json"),
    1000: (16, "bool"),
    1001: (17, "bytea"),
    1005: (21, "int2"),
    1007: (23, "int4"),
    1015: (1043, "varchar"),
    1016: (20, "int8"),
    1021: (700, "float4"),
    1022: (701, "float8"),
    1115: (1114, "timestamp"),
    1182: (1082, "date"),
    1185: (1184, "timestamptz"),
    1187: (1186, "interval"),
    1231: (1700, "numeric"),
    2951: (2950, "uuid"),
    3807: (3802, "jsonb"),
}
"""By OID of an array, OID and name of its elements: the same on every server (src/include/catalog/pg_type.dat)."""
READY: Final = SimpleNamespace(name="known")
"""A statement that has not overwritten the one for which types were wanted."""


def make_known() -> None:
    """Have asyncpg ask only for types that are not in `ELEMENTS`."""
    ask = asyncpg.Connection._introspect_types

    async def known(self: Any, oids: Collection[int], timeout: float | None) -> Any:
        if ELEMENTS.keys() >= set(oids):
            return [_described(oid) for oid in oids], READY
        return await ask(self, oids, timeout)

    asyncpg.Connection._introspect_types = known


def _described(oid: int) -> Mapping[str, Any]:
    element, name = ELEMENTS[oid]
    unused = dict.fromkeys(("basetype", "range_subtype", "attrtypoids", "attrnames"))
    array = {"oid": oid, "ns": "pg_catalog", "name": f"_{name}", "kind": b"b", "elemdelim": ","}
    return {**array, **unused, "elemtype": element, "elemtype_name": name}
