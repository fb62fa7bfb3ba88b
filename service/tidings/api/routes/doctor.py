"""`/v1/health`: the checks of `tidings doctor`."""

import os
from typing import Final

from tidings.api.replies.channels import HealthReply
from tidings.api.route import AnyCall, Documented, Reply, Route
from tidings.operations import health
from tidings.operations.scopes import Scope


async def _health(call: AnyCall) -> Reply:
    return Reply(await health.examine(call.backend.settings, call.actor, os.environ))


ROUTES: Final = (
    Route(
        "GET",
        "/v1/health",
        _health,
        scope=Scope.OPERATE,
        summary="Check everything that Tidings depends on",
        description="The checks of `tidings doctor`, as the process that answers sees it; nothing is sent.",
        tag="health",
        tenant_bound=False,
        replies={
            200: Documented(
                "What was found",
                HealthReply,
                {
                    "healthy": True,
                    "findings": [
                        {
                            "subject": "PostgreSQL",
                            "verdict": "ok",
                            "detail": "connected, version 17.6",
                            "remedy": None,
                        }
                    ],
                },
            )
        },
    ),
)
