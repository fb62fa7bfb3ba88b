"""W2, email: the same, and a two-part mail from a template to a relay too fast to matter."""

from collections.abc import Iterator
from typing import Final

from benchmarks.contenders.base import Contender
from benchmarks.drain import drain
from benchmarks.messages import messages
from benchmarks.results import Measurement
from benchmarks.stage import Stage
from benchmarks.workloads.base import RATE, Workload

MESSAGES: Final = 30_000
LONGEST: Final = 10.0


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Once."""
    yield Measurement("W2", contender.about.name, once(stage, contender))


def once(stage: Stage, contender: Contender) -> dict[str, float]:
    """What came of it."""
    waiting = list(messages(stage.sized(MESSAGES), templated=True))
    with stage.relay() as port:
        job = stage.job(contender, smtp_port=port)
        return drain(stage, contender, job, waiting, longest=LONGEST)


W2: Final = Workload(
    name="W2",
    title="Email",
    what="The same, and a two-part mail made from a template is handed to an SMTP sink that keeps nothing. "
    "The peers use Jinja and the standard library's EmailMessage, over connections that stay open. The bare "
    "loop sends nothing: it reads the same messages and acks them, for comparison under the same conditions.",
    columns=RATE,
    measure=measure,
    repeats=3,
)
