"""`/openapi.json` and `/docs`: the API describes itself, to programs and to people."""

from typing import Final

from tidings.api.docs_page import CONTENT_SECURITY_POLICY, page
from tidings.api.openapi import encoded
from tidings.api.route import AnyCall, AnyParameters, Documented, Reply, Route


async def _openapi(call: AnyCall) -> Reply:
    return Reply(encoded(call.services.document()))


async def _docs(call: AnyCall) -> Reply:
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Reply(page(call.services.document()), headers=headers, media_type="text/html")


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
)
