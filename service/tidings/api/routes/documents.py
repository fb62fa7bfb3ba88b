"""`/openapi.json`, `/docs` and `/llms.txt`: the API describes itself, to programs, people and assistants."""

from typing import Final

from tidings.api import llms_txt
from tidings.api.docs_page import CONTENT_SECURITY_POLICY, page
from tidings.api.openapi import encoded
from tidings.api.route import AnyCall, AnyParameters, Documented, Reply, Route


async def _openapi(call: AnyCall) -> Reply:
    return Reply(encoded(call.services.document()))


async def _docs(call: AnyCall) -> Reply:
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Reply(page(call.services.document()), headers=headers, media_type="text/html")


async def _llms(call: AnyCall) -> Reply:
    return Reply(llms_txt.text(call.services.document()), media_type="text/plain")


ROUTES: Final = (
    Route(
        "GET",
        "/openapi.json",
        _openapi,
        scope=None,
        summary="This document",
        tag="documents",
        tenant_bound=False,
        query_model=AnyParameters,
        replies={
            200: Documented(
                "The OpenAPI document",
                dict[str, object],
                {"openapi": "3.1.0", "info": {"title": "Tidings", "version": "0.2.0"}, "paths": {}},
            )
        },
        etag=True,
    ),
    Route(
        "GET",
        "/docs",
        _docs,
        scope=None,
        summary="This document for people",
        tag="documents",
        tenant_bound=False,
        query_model=AnyParameters,
        replies={200: Documented("A page", str, "<!DOCTYPE html>…", media_type="text/html")},
        etag=True,
    ),
    Route(
        "GET",
        "/llms.txt",
        _llms,
        scope=None,
        summary="What there is, for assistants",
        description="As the llms.txt proposal has it.",
        tag="documents",
        tenant_bound=False,
        query_model=AnyParameters,
        replies={200: Documented("Markdown", str, "# Tidings\n\n> …", media_type="text/plain")},
        etag=True,
    ),
)
