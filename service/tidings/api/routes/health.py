"""`/healthz` and `/readyz`, for load balancers and orchestrators; anybody may ask."""

from typing import Final

from pydantic import BaseModel

from tidings.api.route import AnyCall, AnyParameters, Documented, Reply, Route


class Liveness(BaseModel):
    """An answer proves that the process serves requests."""

    status: str


class Readiness(BaseModel):
    """Whether requests can be served."""

    status: str
    """`ready` or `not_ready`."""
    checks: dict[str, bool]


async def _alive(_: AnyCall) -> Reply:
    return Reply({"status": "alive"})


async def _ready(call: AnyCall) -> Reply:
    checks = call.services.checks()
    ready = all(checks.values())
    return Reply(
        {"status": "ready" if ready else "not_ready", "checks": checks}, 200 if ready else 503
    )


ROUTES: Final = (
    Route(
        "GET",
        "/healthz",
        _alive,
        scope=None,
        summary="Whether the process serves requests",
        tag="health",
        tenant_bound=False,
        query_model=AnyParameters,
        replies={200: Documented("It does", Liveness, {"status": "alive"})},
    ),
    Route(
        "GET",
        "/readyz",
        _ready,
        scope=None,
        summary="Whether requests can be served",
        tag="health",
        tenant_bound=False,
        query_model=AnyParameters,
        replies={
            200: Documented(
                "They can",
                Readiness,
                {"status": "ready", "checks": {"api_keys": True, "listening": True}},
            ),
            503: Documented(
                "They can't just now",
                Readiness,
                {"status": "not_ready", "checks": {"api_keys": False, "listening": True}},
            ),
        },
    ),
)
