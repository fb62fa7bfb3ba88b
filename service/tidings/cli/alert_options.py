"""Options of the commands about rules of alerts."""

from enum import StrEnum
from typing import Annotated

import typer

from tidings.cli.channel_names import known_channel
from tidings.operations.alert_rules import Watch


class RuleFilter(StrEnum):
    """What a rule may be limited to."""

    CHANNEL = "channel"
    CATEGORY = "category"
    REASON = "reason"
    FINGERPRINT = "fingerprint"
    QUEUE = "queue"


Reference = Annotated[str, typer.Argument(metavar="RULE", help="Name or id of the rule.")]
Note = Annotated[str, typer.Option("--note", help="Note for the audit trail, e.g. a ticket.")]
WatchOption = Annotated[
    Watch | None,
    typer.Option(
        "--watch",
        help="Watch this; dead letters by default. Providers that are down, schedules that are overdue, and queues in which "
        "messages wait, for --window.",
    ),
]
Channel = Annotated[
    str | None,
    typer.Option(
        "--channel", "-c", metavar="CHANNEL", callback=known_channel, help="Only of this channel."
    ),
]
Category = Annotated[
    str | None,
    typer.Option("--category", metavar="CATEGORY", help="Only dead letters of this category."),
]
Reason = Annotated[
    str | None,
    typer.Option("--reason", metavar="REASON", help="Only dead letters for this reason."),
]
Fingerprint = Annotated[
    str | None,
    typer.Option(
        "--fingerprint", metavar="HEX", help="Only dead letters of this group, as in `dead groups`."
    ),
]
Queue = Annotated[
    str | None,
    typer.Option(
        "--queue", metavar="QUEUE", help="Only this queue, as in `stats`, e.g. tidings.email.high."
    ),
]
Without = Annotated[
    list[RuleFilter] | None,
    typer.Option("--without", help="Remove this filter; repeatable."),
]
Count = Annotated[
    int | None,
    typer.Option(
        "--count",
        "-n",
        min=1,
        help="Dead letters, or messages in a queue, that are enough for an alert.",
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window",
        metavar="DURATION",
        help="Time in which they have to come, or for which a provider has to be down, a schedule overdue, or a message waiting.",
    ),
]
Every = Annotated[
    str | None,
    typer.Option("--every", metavar="DURATION", help="Alert at most once in this time."),
]
Remind = Annotated[
    str | None,
    typer.Option(
        "--remind",
        metavar="DURATION",
        help="Alert again after this time while nothing has changed; 0s: never. Not of dead letters.",
    ),
]
AllClear = Annotated[
    bool | None,
    typer.Option("--all-clear/--no-all-clear", help="Tell when it is over; not of dead letters."),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Send to this receiver: a URL of Apprise, e.g. slack://…; - reads it from standard input.",
    ),
]
ToChannel = Annotated[
    str | None,
    typer.Option(
        "--to-channel",
        metavar="CHANNEL",
        callback=known_channel,
        help="Send as notifications on this channel instead.",
    ),
]
To = Annotated[
    str | None, typer.Option("--to", metavar="RECIPIENT", help="Recipient on that channel.")
]
