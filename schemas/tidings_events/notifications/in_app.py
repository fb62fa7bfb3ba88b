"""A notification in the inbox of an application's user."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import to_json

from tidings_events.notifications.base import Problem, TemplatedNotification, is_empty
from tidings_events.notifications.examples import COMMON, SCHEDULED, Examples
from tidings_events.notifications.fields import (
    LINE_IN_SCHEMA,
    NO_NUL,
    NO_NUL_IN_SCHEMA,
    ONE_LINE,
    Reference,
    Slug,
    Unquoted,
    given,
)

LONGEST_TITLE = 200
LONGEST_BODY = 4_000
"""Characters."""
MAX_ACTIONS = 2
MAX_DATA_BYTES = 16 * 1024
"""Of `data` as JSON: every list and every live connection of the user carries it."""

# A browser reads `//host` and `/\host` as another server, and drops tabs and line breaks before it looks.
_AUTHORITY = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_REST = r"[!-\[\]-~]*"
_LINK_IN_SCHEMA = (
    rf"^([hH][tT][tT][pP][sS]?://{_AUTHORITY}([/?#]{_REST})?|/([!-.0-\[\]-~]{_REST})?)$"
)
_LINK = re.compile(_LINK_IN_SCHEMA)


def link(value: str) -> str:
    """A URL that is safe as a link: http, https or a path. Raises ValueError with the fault."""
    if not _LINK.fullmatch(value):
        raise ValueError(
            "is not a link; write https://… or http://… without credentials, or a path that begins with one /"
        )
    return value


Link = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(link),
    Field(
        json_schema_extra={"pattern": _LINK_IN_SCHEMA},
        examples=["/orders/10042", "https://shop.example/orders/10042"],
    ),
]


class Action(BaseModel):
    """A button below a message."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Slug = Field(
        description="Names it in your application when it was taken.", examples=["accept"]
    )
    label: Annotated[
        str,
        StringConstraints(min_length=1, max_length=40),
        ONE_LINE,
        LINE_IN_SCHEMA,
        Unquoted(),
    ] = Field(description="Its text.", examples=["Accept"])
    url: Annotated[Link, Unquoted()] | None = Field(
        default=None, description="Where it leads; your application handles it if left out."
    )


class InAppNotification(TemplatedNotification):
    """A message in the inbox of one of your users."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"allOf": [given("title")], "not": given("template")},
                {
                    "allOf": [given("template")],
                    "properties": {name: {"type": "null"} for name in ("title", "body")},
                },
            ]
        }
    )
    content_fields = ("title", "body")
    examples: ClassVar[Examples] = {
        "minimal": {"recipient": "user-4711", "title": "Your parcel arrives today"},
        "full": {
            "recipient": "user-4711",
            **COMMON,
            "idempotency_key": "order-10042-receipt-in-app",
            "type": "order",
            "severity": "success",
            "title": "Thank you for order 10042",
            "body": "We will tell you when it is on its way.",
            "action_url": "/orders/10042",
            "actions": [
                {"id": "invoice", "label": "Invoice", "url": "/orders/10042/invoice"},
                {"id": "dismiss", "label": "Dismiss"},
            ],
            "data": {"order": 10042, "image": "https://shop.example/images/10042.png"},
        },
        "template": {
            "recipient": "user-4711",
            "template": "order-shipped",
            "locale": "en",
            "data": {"name": "Anna", "order": 10042},
        },
        "scheduled": {
            "recipient": "user-4711",
            **SCHEDULED,
            "category": "marketing",
            "title": "The doors open at eight",
        },
    }

    channel: Literal["in_app"] = Field(default="in_app", description="The channel.")
    recipient: Reference = Field(
        description="The user's id: `sub` of the tokens that your backend issues.",
        examples=["user-4711"],
    )
    title: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=LONGEST_TITLE),
            ONE_LINE,
            LINE_IN_SCHEMA,
            Unquoted(),
        ]
        | None
    ) = Field(default=None, description="Title, on one line: plain text.")
    body: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=LONGEST_BODY),
            NO_NUL,
            NO_NUL_IN_SCHEMA,
            Unquoted(),
        ]
        | None
    ) = Field(default=None, description="Plain text below the title.")
    type: Slug = Field(
        default="message",
        description="What your application tells its kinds of messages apart by, e.g. to draw them.",
        examples=["comment"],
    )
    severity: Literal["info", "success", "warning", "critical"] = Field(
        default="info", description="How it is to be taken.", examples=["warning"]
    )
    action_url: Annotated[Link, Unquoted()] | None = Field(
        default=None, description="Where a click on the message leads."
    )
    actions: tuple[Action, ...] = Field(
        default=(),
        max_length=MAX_ACTIONS,
        exclude_if=is_empty,
        description=f"At most {MAX_ACTIONS} buttons, each with an `id` of its own.",
    )

    def broken_rules(self) -> Iterator[Problem]:
        """Title or template; actions that can be told apart; data that lists can carry."""
        yield from super().broken_rules()
        if len({action.id for action in self.actions}) < len(self.actions):
            yield "actions", "use an `id` twice; give each its own"
        if self.data and (size := len(to_json(self.data))) > MAX_DATA_BYTES:
            allowed = f"at most {MAX_DATA_BYTES:,} are allowed on this channel"
            yield "data", f"is {size:,} bytes; {allowed}, so send a link to it instead"

    def _incomplete_content(self, written: list[str]) -> Iterator[Problem]:
        if self.title is None:
            yield "title", "is missing; give `title`, or a `template`"
