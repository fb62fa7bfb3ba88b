"""A view becomes JSON as it masks itself; what no view has masked does not."""

import json
from dataclasses import dataclass
from uuid import UUID

import pytest

from tidings.operations.dead_letters.edits import EditableDeadLetter
from tidings.operations.json_views import as_json


@dataclass(frozen=True)
class Masked:
    recipient: str

    def as_data(self) -> dict[str, str]:
        return {"recipient": "j…@example.com"}


def test_a_view_is_written_as_its_as_data_says_at_any_depth() -> None:
    written = json.loads(as_json({"found": [Masked("jane@example.com")]}))
    assert written == {"found": [{"recipient": "j…@example.com"}]}


def test_a_body_that_no_view_has_masked_is_refused() -> None:
    with pytest.raises(TypeError, match="as_data"):
        as_json(EditableDeadLetter(UUID(int=1), None, b'{"recipient": "jane@example.com"}'))
