"""Holds each answer of the API to what its OpenAPI document says."""

import json
import re
from functools import cache
from typing import Any, cast

from jsonschema import Draft202012Validator

from tidings.api.application import framework_application
from tidings.api.openapi import document
from tidings.api.routes import routes
from tidings.operations.backend import Backend
from tidings.settings import Settings


@cache
def described() -> dict[str, Any]:
    """The document of all routes."""
    every = tuple(routes())
    return document(framework_application(every, Backend(Settings(), cast(Any, None)), dict), every)


def check_answer(method: str, path: str, status: int, media_type: str, body: bytes) -> None:
    """Assert that an answer is documented: its status, its media type, and each of its fields.

    Args:
        path: With its query.
    """
    operation = _operation(method, path.partition("?")[0])
    if operation is None:
        return  # no route of ours
    responses = operation["responses"]
    assert str(status) in responses, f"{method} {path}: {status} is not documented"
    content = responses[str(status)].get("content", {})
    if not body or not content:
        assert not body, f"{method} {path}: a body that is not documented"
        return
    media_type = media_type.partition(";")[0]
    assert media_type in content, f"{method} {path}: {media_type} is not documented"
    if media_type.endswith("json") and media_type != "application/x-ndjson":
        faults = [
            *_validator(json.dumps(content[media_type]["schema"])).iter_errors(json.loads(body))
        ]
        assert not faults, f"{method} {path} {status}: {faults[0].json_path}: {faults[0].message}"


def _operation(method: str, path: str) -> dict[str, Any] | None:
    found = described()["paths"]
    for template in sorted(found, key=lambda it: it.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return cast("dict[str, Any] | None", found[template].get(method.lower()))
    return None


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(
        {**json.loads(schema), "components": described()["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
