"""The payload, found in what its producer published."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.channels.webhook.body import as_written

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(
    st.dictionaries(st.text().filter(lambda name: name != "payload"), JSON, max_size=5),
    JSON,
    st.sampled_from([None, 2, "\t"]),
    st.booleans(),
)
def test_whatever_stands_around_it_the_payload_is_found(
    around: dict[str, object], payload: object, indent: str | int | None, ascii_only: bool
) -> None:
    body = json.dumps({**around, "payload": payload}, indent=indent, ensure_ascii=ascii_only)

    assert json.loads(bytes(as_written(body.encode(), "payload"))) == payload


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('{"payload":{}}', "{}"),
        ('{"payload":{"a":1.50}}', '{"a":1.50}'),
        (' {\n "payload" :\t{ "a" : 1e999 } }\r\n', '{ "a" : 1e999 }'),
        ('{"payload":{"a":1},"payload":{"a":2}}', '{"a":2}'),
        ('{"note":"\\"payload\\":{}","payload":{"payload":{"x":1}}}', '{"payload":{"x":1}}'),
        ('{"pay\\u006coad":{"a":1}}', '{"a":1}'),
        ('{"payload":{"n":' + "9" * 5000 + "}}", '{"n":' + "9" * 5000 + "}"),
    ],
)
def test_it_is_the_text_itself(body: str, found: str) -> None:
    assert bytes(as_written(body.encode(), "payload")) == found.encode()


@pytest.mark.parametrize("body", ["{}", '{"payloads":{}}'])
def test_a_field_that_is_not_there_is_no_empty_one(body: str) -> None:
    with pytest.raises(KeyError):
        bytes(as_written(body.encode(), "payload"))


def test_however_many_values_there_are_nothing_is_made_of_them() -> None:
    body = json.dumps({"payload": {"a": [[1.5, "ü" * 20, {}]] * 20_000}}).encode()
    tracemalloc.start()
    try:
        found = bytes(as_written(body, "payload"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert json.loads(found) == json.loads(body)["payload"]
    assert peak < 2.5 * len(body)
