"""W14, in-app inbox: how fast published notifications get into the inboxes of users."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.amqp import Envelope
from benchmarks.contenders.base import PYTHON, Contender, Job
from benchmarks.contenders.tidings import TIERS, Tidings
from benchmarks.drain import drain
from benchmarks.messages import Message, messages
from benchmarks.processes import Command
from benchmarks.results import Measurement
from benchmarks.stage import NotDone, Stage
from benchmarks.workloads.base import RATE, Workload
from tidings.broker.topology.layout import topology
from tidings_events.routing import EXCHANGE

MESSAGES: Final = 40_000
USERS: Final = 10_000
LONGEST: Final = 10.0
"""Seconds after which it has shown its rate."""
CHANNEL: Final = "in_app"


class Inboxes(Tidings):
    """`tidings worker` for inboxes, as it is set by default."""

    channel = CHANNEL
    layout = topology({CHANNEL: TIERS})

    def envelope(self, message: Message) -> Envelope:
        """The message of a notification, for one of the users."""
        fields = json.loads(message.body)
        number = int(fields["entity"]["id"])
        title = fields.pop("subject")
        fields |= {"channel": CHANNEL, "recipient": f"user-{number % USERS}", "title": title}
        fields |= {"type": "order", "action_url": f"/orders/{number}"}
        properties = {"content_type": "application/json", "message_id": message.id}
        return Envelope(
            EXCHANGE, f"{CHANNEL}.{message.priority}", json.dumps(fields).encode(), properties
        )

    def commands(self, job: Job) -> Sequence[Command]:
        """The command that people run."""
        program = "from tidings.cli.main import main; main()"
        arguments = [PYTHON, "-c", program, "worker", "--channel", CHANNEL]
        return [Command(arguments, self.environment(job))]

    def environment(self, job: Job) -> dict[str, str]:
        """What `tidings` reads: its defaults, but for the retries of the queues above."""
        return {**super().environment(job), "TIDINGS_IN_APP_RETRY": f"{TIERS[0].seconds}s"}


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Once."""
    inboxes = Inboxes()
    waiting = list(messages(stage.sized(MESSAGES)))
    values = drain(stage, inboxes, stage.job(inboxes), waiting, longest=LONGEST)
    stored, recorded = (
        int(stage.servers.sql(f"SELECT count(*) FROM {table}")[0][0])
        for table in ("inbox_messages", "attempts WHERE state = 'sent'")
    )
    if stored < recorded:
        raise NotDone(f"{recorded} messages are recorded as sent, and {stored} are in inboxes")
    yield Measurement("W14", contender.about.name, values)


W14: Final = Workload(
    name="W14",
    title="In-app inbox",
    what="A preloaded queue of 40,000 messages for 10,000 users is drained by one worker with default settings: each is "
    "committed to its user's inbox, announced, recorded as sent, and then acked.",
    columns=RATE,
    measure=measure,
    repeats=3,
    only=frozenset({"Tidings"}),
)
