"""The worker that people run, around a channel that sends nothing: at once, slowly, or not the first time."""

import asyncio
import os
import signal
from collections.abc import Sequence

import uvloop

from tidings.app import actor_name
from tidings.broker.topology.layout import topology_of
from tidings.delivery.errors import Unavailable
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Channel, Finding, SendRequest, TemplateParts, Verdict
from tidings.ledger import PostgresLedger
from tidings.runtime.garbage import collect_seldom
from tidings.settings import Settings
from tidings.telemetry.logs import configure
from tidings.telemetry.metrics import Metrics
from tidings.templates import Templates
from tidings.worker import Worker


class Nothing:
    """Stands for the email channel.

    Args:
        slowness: Seconds that each send takes.
    """

    def __init__(self, slowness: float) -> None:
        self.name = "email"
        self.template_parts = TemplateParts(
            {"subject": "subject", "text": "text"}, {"html": "html"}
        )
        self._slowness = slowness

    async def send(self, request: SendRequest) -> Sent:
        """Wait, and fail where the recipient says so and it is the first time."""
        if self._slowness:
            await asyncio.sleep(self._slowness)
        attempt = request.attempt
        if attempt.number == 1 and str(attempt.notification.recipient).startswith("fail-"):
            raise Unavailable("not the first time", provider="nothing", code="451")
        return Sent("nothing", "nothing", "250")

    async def check(self) -> Sequence[Finding]:
        """Nothing can be wrong."""
        return [Finding(self.name, Verdict.OK, "sends nothing")]

    async def close(self) -> None:
        """Nothing is open."""


async def work(settings: Settings, channel: Channel) -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with PostgresLedger(settings.ledger, actor=actor_name(["worker"])) as ledger:
        templates = Templates(settings.worker.templates_root)
        layout = topology_of(settings)
        worker = Worker(settings, layout, ledger, {channel.name: channel}, templates, Metrics())
        collect_seldom()
        await worker.run(stop)


def main() -> None:
    """As `tidings worker` begins."""
    settings = Settings().check()
    configure(settings.worker.log_level, settings.worker.log_format)
    channel = Nothing(float(os.environ["BENCH_SLOWNESS"]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(settings, channel))


if __name__ == "__main__":
    main()
