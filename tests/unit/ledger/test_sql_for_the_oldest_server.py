"""The SQL names no function that the oldest PostgreSQL that is supported does not have."""

import re
from pathlib import Path

import tidings
from tidings.ledger.diagnosis import OLDEST

NEWER = {
    14: "date_bin bit_count string_to_table trim_array unistr range_agg",
    15: "regexp_count regexp_instr regexp_like regexp_substr",
    16: "any_value array_sample array_shuffle date_add date_subtract random_normal pg_input_is_valid",
    17: "json_table json_query json_value to_bin to_oct",
    18: "uuidv7 uuidv4 array_sort casefold crc32c",
}
"""By the version that brought them."""


def test_no_function_is_newer_than_the_oldest_server() -> None:
    names = [name for version, names in NEWER.items() if version > OLDEST for name in names.split()]
    called = re.compile(rf"\b({'|'.join(names)})\(")
    sources = sorted(Path(tidings.__file__).parent.joinpath("ledger").rglob("*.py"))
    found = {path.name: called.findall(path.read_text()) for path in sources}
    assert len(found) > 50
    assert {name: names for name, names in found.items() if names} == {}
