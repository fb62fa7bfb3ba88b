"""What every view's JSON is made of."""

import json
from dataclasses import asdict, is_dataclass
from datetime import date


def as_json(value: object, *, ascii_only: bool = False) -> str:
    """One JSON document: a dataclass by its fields, times in ISO 8601, ids and words as strings."""
    return json.dumps(value, indent=2, default=_encoded, ensure_ascii=ascii_only)


def _encoded(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.isoformat() if isinstance(value, date) else str(value)
