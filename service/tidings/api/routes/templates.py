"""`POST /v1/templates/{name}/render`: a template as a recipient would get it."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from tidings.api.problems import NOT_FOUND
from tidings.api.replies.notifications import ReplyModel
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.operations.scopes import Scope
from tidings.operations.submissions import checking


class TemplatePath(Parameters):
    """Names a template."""

    name: str = Field(max_length=100, description="Name of the template.", examples=["otp"])


class RenderBody(BaseModel):
    """What a template is rendered with."""

    model_config = ConfigDict(extra="forbid")

    channel: str = Field(max_length=40, description="Its parts are those of this channel.")
    locale: str | None = Field(default=None, max_length=40, description="BCP 47 language tag.")
    data: dict[str, Any] = Field(default_factory=dict, description="Its variables.")


class RenderedReply(ReplyModel):
    """The content of a notification."""

    template: str
    channel: str
    content: dict[str, str]
    """By field: `subject`, `text`, `html`."""


async def _render(call: Call[TemplatePath, Parameters, RenderBody]) -> Reply:
    body = call.body
    request = checking.RenderRequest(call.path.name, body.channel, body.locale, body.data)
    return Reply(await checking.render(call.backend, call.actor, request))


ROUTES: Final = (
    Route(
        "POST",
        "/v1/templates/{name}/render",
        _render,
        scope=Scope.SEND,
        summary="Render a template",
        description="As a worker would, from the templates on this machine. Nothing is sent.",
        tag="templates",
        path_model=TemplatePath,
        body_model=RenderBody,
        body_example={"channel": "sms", "locale": "de", "data": {"code": "493021"}},
        replies={
            200: Documented(
                "The content",
                RenderedReply,
                {
                    "template": "otp",
                    "channel": "sms",
                    "content": {"text": "493021 ist Ihr Code."},
                },
            )
        },
        problems=(NOT_FOUND,),
    ),
)
