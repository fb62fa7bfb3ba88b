"""Generates the published files for producers in other languages from the models."""

import json
from pathlib import Path
from typing import Any

from tidings_events.export.asyncapi import asyncapi
from tidings_events.export.examples import EXAMPLES
from tidings_events.export.json_schemas import VERSION, json_schema
from tidings_events.export.yaml import to_yaml
from tidings_events.notifications import CHANNELS
from tidings_events.parsing import parse


def files() -> dict[Path, str]:
    """Every published file: its path below the published directory, and its text.

    Raises InvalidNotification if an example breaks the contract.
    """
    version = Path(f"v{VERSION}")
    made = {version / f"{each}.schema.json": _json(json_schema(each)) for each in CHANNELS}
    for name, example in EXAMPLES.items():
        parse(json.dumps(example).encode())
        made[version / "examples" / f"{name}.json"] = _json(example)
    made[Path("asyncapi.yaml")] = to_yaml(asyncapi())
    return made


def differing(directory: Path) -> list[Path]:
    """The published files that are missing or not current."""
    return [path for path, text in files().items() if _read(directory / path) != text]


def write(directory: Path) -> list[Path]:
    """Write the files that differ; returns them. Deletes nothing: old examples stay valid."""
    stale = differing(directory)
    made = files()
    for path in stale:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(made[path], encoding="utf-8")
    return stale


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
