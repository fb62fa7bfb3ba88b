"""What Tidings has to reach, as data, and whether a run shows it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from benchmarks.results import Results

US: Final = "Tidings"
BEST_PEER: Final = "the best peer"
SATURATED: Final = 0.85
"""Share of a core per process from which on the CPU and not the sends decide the rate…"""
MACHINE_SATURATED: Final = 0.95
"""… or share of all cores: RabbitMQ and PostgreSQL run on them too."""
NOISE: Final = 0.85
"""Share of a ratio that another run of the same code may have, on a machine that others use too."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target, and what came of it."""

    workload: str
    wanted: str
    measured: str
    margin: float | None
    """0.1 where it is a tenth better than wanted, -0.1 where worse; None where not measured."""
    why: str = ""
    """What stands in the way, as far as is known."""

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        return None if self.margin is None else self.margin >= 0


class Target(Protocol):
    """Something to be reached."""

    @property
    def workload(self) -> str:
        """Where it is measured."""
        ...

    def judge(self, results: Results) -> Verdict:
        """Whether it was."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    """Our rate is at least so many times another's."""

    workload: str
    factor: float
    whose: str
    """A contender, or the best peer of the same workload."""
    why: str = ""

    def judge(self, results: Results) -> Verdict:
        """By the medians."""
        wanted = f"rate ≥ {self.factor:.3g} × {self.whose}"
        ours = results.of(self.workload, US, "rate")
        if self.whose == BEST_PEER:
            name, other = results.best_peer(self.workload, "rate") or ("", None)
        else:
            name, other = self.whose, results.of(self.workload, self.whose, "rate")
        if ours is None or other is None:
            return _not_measured(self.workload, wanted)
        ratio = ours.median / other.median
        measured = f"{ratio:.2f} × ({ours.median:,.0f}/s to {other.median:,.0f}/s of {name})"
        return Verdict(self.workload, wanted, measured, ratio / self.factor - 1, self.why)

    def kept(self, last: Results) -> "Times":
        """The same; or, where the last whole run missed it, a little less than that reached."""
        margin = self.judge(last).margin
        if margin is None or margin >= 0:
            return self
        return replace(self, factor=self.factor * (1 + margin) * NOISE)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """One of our figures is no lower."""

    workload: str
    value: str
    limit: float
    what: str
    variant: str = ""
    form: str = ",.0f"
    why: str = ""

    def judge(self, results: Results) -> Verdict:
        """By the median."""
        wanted = f"{self.what} ≥ {self.limit:{self.form}}"
        ours = results.of(self.workload, US, self.value, self.variant)
        if ours is None:
            return _not_measured(self.workload, wanted)
        measured = format(ours.median, self.form)
        return Verdict(self.workload, wanted, measured, ours.median / self.limit - 1, self.why)


@dataclass(frozen=True, slots=True)
class AtMost:
    """One of our figures is no higher."""

    workload: str
    value: str
    limit: float
    what: str
    variant: str = ""
    form: str = ",.0f"
    why: str = ""

    def judge(self, results: Results) -> Verdict:
        """By the median."""
        wanted = f"{self.what} ≤ {self.limit:{self.form}}"
        ours = results.of(self.workload, US, self.value, self.variant)
        if ours is None:
            return _not_measured(self.workload, wanted)
        measured = format(ours.median, self.form)
        return Verdict(self.workload, wanted, measured, 1 - ours.median / self.limit, self.why)


@dataclass(frozen=True, slots=True)
class Keeps:
    """In one variant our rate is at least this share of that in another."""

    workload: str
    share: float
    variant: str
    base: str

    def judge(self, results: Results) -> Verdict:
        """By the medians."""
        wanted = f"rate with {self.variant} ≥ {self.share:g} × with {self.base}"
        grown = results.of(self.workload, US, "rate", self.variant)
        base = results.of(self.workload, US, "rate", self.base)
        if grown is None or base is None:
            return _not_measured(self.workload, wanted)
        ratio = grown.median / base.median
        measured = f"{ratio:.2f} × ({grown.median:,.0f}/s to {base.median:,.0f}/s)"
        return Verdict(self.workload, wanted, measured, ratio / self.share - 1)


@dataclass(frozen=True, slots=True)
class Stays:
    """In one variant one of our figures is at most so many times that in another."""

    workload: str
    value: str
    factor: float
    what: str
    variant: str
    base: str

    def judge(self, results: Results) -> Verdict:
        """By the medians."""
        wanted = f"{self.what} {self.variant} ≤ {self.factor:g} × {self.base}"
        then = results.of(self.workload, US, self.value, self.variant)
        usual = results.of(self.workload, US, self.value, self.base)
        if then is None or usual is None:
            return _not_measured(self.workload, wanted)
        ratio = then.median / usual.median
        measured = f"{ratio:.2f} × ({then.median:,.1f} to {usual.median:,.1f})"
        return Verdict(self.workload, wanted, measured, 1 - ratio / self.factor)


@dataclass(frozen=True, slots=True)
class Scales:
    """Slow sends cost nothing but their time, as long as there is CPU left."""

    workload: str
    share: float
    why: str = ""

    def judge(self, results: Results) -> Verdict:
        """By the worst variant in which the CPU is not saturated."""
        wanted = f"rate ≥ {self.share:g} × concurrency ÷ 0.1 s up to CPU saturation"
        reached = []
        for variant in results.variants(self.workload, US):
            share = results.of(self.workload, US, "of_possible", variant)
            own = results.of(self.workload, US, "cpu_each", variant)
            all_ = results.of(self.workload, US, "machine_busy", variant)
            if not (share and own and all_):
                continue
            if own.median < SATURATED and all_.median < MACHINE_SATURATED:
                reached.append((share.median, variant))
        if not reached:
            return _not_measured(self.workload, wanted)
        worst, variant = min(reached)
        measured = f"{worst:.2f} × ({variant})"
        return Verdict(self.workload, wanted, measured, worst / self.share - 1, self.why)


@dataclass(frozen=True, slots=True)
class Memory:
    """The most that a worker process of ours ever held."""

    limit: float
    workload: str = "all"

    def judge(self, results: Results) -> Verdict:
        """By the highest of all."""
        wanted = f"memory of the worker ≤ {self.limit:g} MB"
        found = [
            measurement.values["memory_mb"] / measurement.values.get("processes", 1)
            for measurement in results.measurements
            if measurement.contender == US and "memory_mb" in measurement.values
        ]
        if not found:
            return _not_measured(self.workload, wanted)
        return Verdict(self.workload, wanted, f"{max(found):.0f} MB", 1 - max(found) / self.limit)


ONE_CORE: Final = (
    "the worker's one core is full. Of a message's CPU the two group commits take a fifth, validation a seventh, "
    "reading frames and the event loop a tenth each, and nothing else more than a twentieth; the bare loop spends as "
    "much on aio-pika alone"
)
A_MAIL: Final = (
    "the worker's one core is full. A mail takes more than three times the CPU of W1: a third is writing it (templates, then "
    "MIME), an eighth the conversation with the relay"
)
ONE_PAUSE: Final = "both cores are nearly full then: a pause of PostgreSQL's disk, or of a machine that is shared, shows in full"
TWO_CORES: Final = (
    "half of the rate at which a preloaded queue drains, published on the same machine, and a fifth of it handled "
    "twice and published once more, nearly fill both cores: everything waits for some hundred milliseconds then, what "
    "is due again like the rest"
)
LONG_TURNS: Final = (
    "next to saturation; probably what has waited its 100 ms waits for its turn of the event loop as well, where the "
    "worker's core is busy for more than four fifths"
)
FROM_RUN_TO_RUN: Final = (
    f"{ONE_CORE}. From run to run the ratio moved between 0.97 and 1.41 with the speed of the machine, which is "
    "shared: the bare loop gains most where no time is taken away from it"
)
QUICK: Final[Sequence[Times]] = (
    Times("W1", 1.2, "bare loop", why=FROM_RUN_TO_RUN),
    Times("W1", 3, BEST_PEER),
)
"""What a change has to keep to in review."""

TARGETS: Final[Sequence[Target]] = (
    *QUICK,
    Times("W1", 5, "Celery", why=ONE_CORE),
    Times("W2", 1 / 3, "bare loop", why=A_MAIL),
    Times("W2", 5, BEST_PEER, why=A_MAIL),
    AtMost("W3", "p50_ms", 10, "idle p50, ms", "idle", ",.1f"),
    AtMost("W3", "p99_ms", 40, "idle p99, ms", "idle", ",.1f"),
    AtMost("W3", "p99_ms", 250, "p99 at 70 % load, ms", "70 % load", ",.1f", ONE_PAUSE),
    AtLeast("W4", "on_time", 0.99, "share within 300 ms of due", form=".3f", why=TWO_CORES),
    AtLeast("W4", "healthy", 0.95, "healthy traffic × without failures", form=".3f", why=TWO_CORES),
    AtMost("W5", "p99_ms", 500, "p99 of urgent, ms"),
    Keeps("W6", 0.9, "5 million rows", "empty"),
    Keeps("W6", 0.9, "backlog 500k", "backlog 10k"),
    Scales("W7", 0.9, LONG_TURNS),
    AtLeast(
        "W8",
        "rate",
        3000,
        "dead letters/s",
        why="the replaying process is at two thirds of a core, of which a fifth "
        "is validating dead letters again and a third publishing; PostgreSQL at half a core",
    ),
    Stays("W12", "p99_ms", 1.2, "p99, ms,", "while it is dropped", "before"),
    AtLeast("W10", "rate", 3000, "requests/s singly"),
    AtMost("W10", "p99_ms", 60, "p99 singly, ms"),
    AtLeast("W10", "batch_rate", 8000, "notifications/s in batches"),
    AtMost("W11", "growth_mb", 500, "memory of 10,000 live connections, MB"),
    AtMost("W11", "memory_mb_all", 500, "peak memory with 10,000 live connections, MB"),
    AtMost("W11", "p99_ms", 100, "p99 from commit to a live connection, ms"),
    AtMost("W11", "back_s", 15, "until 10,000 are back, s"),
    AtMost("W13", "p99_ms", 50, "p99 of a page, ms", "a page of the list"),
    AtMost("W13", "p99_ms", 100, "p99 of statistics, ms", "statistics"),
    AtMost("W15", "p95_ms", 100, "p95 of a page, ms", "pages while messages are delivered"),
    AtMost("W15", "p95_ms", 100, "p95 of a page, ms", "pages while all are replayed too"),
    AtMost("W15", "kb", 100, "largest page, kB", "pages while all are replayed too"),
    AtMost("W15", "start_s", 1, "until a replay of a million starts, s", "the replay"),
    AtLeast("W15", "replayed", 3000, "replayed/s", "the replay"),
    AtLeast("W14", "rate", 4000, "messages/s into inboxes"),
    Memory(120),
)


def judge(results: Results, targets: Sequence[Target] = TARGETS) -> Sequence[Verdict]:
    """Every target."""
    return [target.judge(results) for target in targets]


def missed(verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """Those that were not shown to be met: a target that was not measured is one of them."""
    return [verdict for verdict in verdicts if not verdict.met]


def _not_measured(workload: str, wanted: str) -> Verdict:
    return Verdict(workload, wanted, "not measured", None)
