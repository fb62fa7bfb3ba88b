"""What every view's JSON is made of."""

import json
from datetime import date


def as_json(value: object, *, ascii_only: bool = False) -> str:
    """One JSON document: times in ISO 8601, ids and words as strings."""
    return json.dumps(value, indent=2, default=_encoded, ensure_ascii=ascii_only)


def _encoded(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
