"""W15, console: its pages with millions of notifications and dead letters, while messages are delivered and all are replayed."""

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.amqp import Wire
from benchmarks.contenders.base import Contender, Job
from benchmarks.contenders.tidings import Tidings
from benchmarks.filling import fill_groups, fill_ledger, fill_rollups, vary
from benchmarks.messages import messages
from benchmarks.pace import publish_evenly
from benchmarks.processes import Command, Processes
from benchmarks.results import Measurement
from benchmarks.serving import TIDINGS, Served
from benchmarks.stage import NotDone, Stage
from benchmarks.workloads import w1_no_op
from benchmarks.workloads.base import Column, Workload

ROWS: Final = 5_000_000
DEAD_LETTERS: Final = 1_000_000
GROUPS: Final = 200
LOAD: Final = 0.25
"""Of the W1 rate, as in W12."""
TIMES: Final = 40
"""Requests of each page."""
SLOWEST: Final = 5
"""Pages that are named."""
DAYS: Final = timedelta(days=7)
"""Since the first notification."""
LONGEST_CHOICE: Final = 120.0
LONGEST_REPLAY: Final = 900.0
PAGES: Final = (
    "/",
    "/?range=24h",
    "/?range=30d",
    "/notifications",
    "/notifications?state=failed",
    "/notifications?channel=email&category=receipt",
    "/notifications?user_id=user-4711",
    "/notifications/{notification}",
    "/failures",
    "/failures?channel=email",
    "/failures?user_id=user-4711",
    "/failures/{fingerprint}",
    "/failures/dead-letters/{dead_letter}",
    "/failures/dead-letters/{dead_letter}/edit",
    "/jobs",
    "/schedules",
    "/channels",
    "/outbox",
    "/templates",
    "/alerts",
    "/people",
    "/audit",
    "/keys",
    "/sessions",
    "/settings",
    "/health",
)
EXAMPLE: Final = """
SELECT id::text AS dead_letter, notification_id::text AS notification, fingerprint FROM dead_letters WHERE state = 'open'
 ORDER BY dead_lettered_at DESC, id DESC LIMIT 1
"""
"""The newest is replayed last: until then it can be edited."""
SHOWN: Final = (200, 409)
"""409: that dead letter was replayed meanwhile, and its editor says so."""
BEGUN: Final = "SELECT EXISTS (SELECT FROM job_items WHERE job = $1::text::uuid AND position <= 2000 AND result IS NOT NULL)"
"""Whether one of the first batches is done."""
RESULTS: Final = "SELECT DISTINCT result FROM job_items WHERE job = $1::text::uuid"


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Pages while messages are delivered, then while all dead letters are replayed too."""
    assert isinstance(contender, Tidings)
    rate = w1_no_op.once(stage, contender)["rate"] * LOAD
    job = stage.job(contender)
    environment = contender.environment(job)
    with stage.prepared(contender, job) as wire:
        _fill(stage)
        key = serving.key(environment, "read", "send", "operate", "reveal", "admin")
        with (
            serving.api(stage, environment) as served,
            stage.running(contender, job) as processes,
            _scheduler(stage, environment),
            _load(contender, job, rate),
        ):
            found = stage.servers.sql(EXAMPLE)[0]
            names = dict(zip(("dead_letter", "notification", "fingerprint"), found, strict=True))
            visitor = _Visitor(served, key)
            pages = [visitor.address(page.format(**names)) for page in PAGES]
            yield _measured(stage, contender, "messages are delivered", visitor.times(pages))
            client = _Client(served, key)
            choosing, job_id = client.choose()
            began = time.monotonic()
            client.post(f"/v1/jobs/{job_id}/start", {})
            while not stage.servers.sql(BEGUN, job_id)[0][0]:
                if time.monotonic() > began + LONGEST_CHOICE:
                    raise NotDone(f"job {job_id} did not begin")
                time.sleep(0.05)
            started = time.monotonic()
            yield _measured(
                stage, contender, "all are replayed too", visitor.times([*pages, f"/jobs/{job_id}"])
            )
            ended = client.until(
                job_id, lambda state: state["done_count"] >= state["item_count"], LONGEST_REPLAY
            )
            processes.check()
            if any(result != "replayed" for (result,) in stage.servers.sql(RESULTS, job_id)):
                raise NotDone(f"job {job_id} did not replay all of its dead letters")
        values = {
            "choose_s": choosing,
            "start_s": started - began,
            "replayed": stage.sized(DEAD_LETTERS) / (ended - began),
        }
        yield Measurement("W15", contender.about.name, values, "the replay")
        del wire
    stage.servers.empty()


def _fill(stage: Stage) -> None:
    rows, dead = stage.sized(ROWS), stage.sized(DEAD_LETTERS)
    stage.say(f"W15 filling the ledger with {rows:,} notifications and {dead:,} dead letters")
    began = (
        datetime.now(UTC) - DAYS
    )  # within retention: else its deletion of the past would be measured too
    fill_ledger(stage.servers, 0, rows, began)
    vary(stage.servers)
    fill_groups(stage.servers, dead, GROUPS, began)
    fill_rollups(stage.servers)


@contextmanager
def _scheduler(stage: Stage, environment: Mapping[str, str]) -> Iterator[None]:
    command = Command([*TIDINGS, "scheduler"], environment)
    with Processes([command], stage.logs / "scheduler.log"):
        yield


@contextmanager
def _load(contender: Contender, job: Job, rate: float) -> Iterator[None]:
    """Messages at an even pace, until the end of the block."""
    over, failures = threading.Event(), list[BaseException]()

    def publish() -> None:
        first = 0
        try:
            with Wire(job.amqp_url) as wire:
                while not over.is_set():
                    batch = messages(int(rate), first=first)
                    publish_evenly(wire, [contender.envelope(each) for each in batch], rate)
                    first += int(rate)
        except BaseException as failure:  # noqa: BLE001  # raised below, in the thread that waits
            failures.append(failure)

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)
    if failures:
        raise failures[0]


class _Visitor:
    """Somebody signed in to the console, on one connection that stays open."""

    def __init__(self, served: Served, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", "/console/sign-in", urlencode({"key": key}), headers)
        reply = self._connection.getresponse()
        reply.read()
        cookie = re.match("[^;]*", reply.headers.get("Set-Cookie", ""))
        if reply.status != 303 or cookie is None:
            raise NotDone(f"signing in failed: {reply.status}")
        self._headers = {"Cookie": cookie[0], "Accept-Encoding": "gzip"}

    def times(self, pages: Sequence[str]) -> Mapping[str, Sequence[tuple[float, int]]]:
        """For each page, milliseconds and compressed bytes of every request."""
        found: dict[str, list[tuple[float, int]]] = {page: [] for page in pages}
        for _ in range(TIMES):
            for page in pages:
                found[page].append(self._get(page))
        return found

    def address(self, page: str) -> str:
        """Where a page is: the console seals the people in an address that somebody has typed."""
        self._connection.request("GET", f"/console{page}", headers=self._headers)
        reply = self._connection.getresponse()
        reply.read()
        return reply.headers.get("Location", f"/console{page}").removeprefix("/console")

    def _get(self, page: str) -> tuple[float, int]:
        began = time.perf_counter()
        self._connection.request("GET", f"/console{page}", headers=self._headers)
        reply = self._connection.getresponse()
        body = reply.read()
        took = (time.perf_counter() - began) * 1000
        if reply.status not in SHOWN:
            raise NotDone(f"{page}: {reply.status}")
        return took, len(body)


class _Client:
    """Somebody who sends requests to the API."""

    def __init__(self, served: Served, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def choose(self) -> tuple[float, str]:
        """Seconds until a job's items are chosen, and its id."""
        began = time.monotonic()
        chosen = self.post(
            "/v1/jobs", {"kind": "replay", "all": True, "plan": {"watch_seconds": 0}}
        )
        job = str(chosen["id"])
        ended = self.until(job, lambda state: state["state"] == "preview", LONGEST_CHOICE)
        return ended - began, job

    def post(self, path: str, body: object) -> Any:
        """Send a request."""
        self._connection.request("POST", path, json.dumps(body), self._headers)
        return self._reply(path)

    def until(self, job: str, condition: Any, longest: float) -> float:
        """When, on the monotonic clock, a job is as it is waited for."""
        path, deadline = f"/v1/jobs/{job}", time.monotonic() + longest
        while time.monotonic() < deadline:
            self._connection.request("GET", path, headers=self._headers)
            if condition(self._reply(path)):
                return time.monotonic()
            time.sleep(0.25)
        raise NotDone(f"{path} did not get there within {longest:g} s")

    def _reply(self, path: str) -> Any:
        reply = self._connection.getresponse()
        body = reply.read()
        if reply.status >= 300:
            raise NotDone(f"{path}: {reply.status} {body[:300]!r}")
        return json.loads(body)


def _measured(
    stage: Stage,
    contender: Contender,
    what: str,
    times: Mapping[str, Sequence[tuple[float, int]]],
) -> Measurement:
    p95s = {page: _p95(sorted(took for took, _ in each)) for page, each in times.items()}
    for page, p95 in sorted(p95s.items(), key=lambda item: -item[1])[:SLOWEST]:
        stage.say(f"W15 while {what}: p95 of {page}: {p95:.0f} ms")
    every = sorted(took for each in times.values() for took, _ in each)
    values = {
        "p50_ms": every[len(every) // 2],
        "p95_ms": _p95(every),
        "slowest_p95_ms": max(p95s.values()),
        "kb": max(size for each in times.values() for _, size in each) / 1000,
    }
    return Measurement("W15", contender.about.name, values, f"pages while {what}")


def _p95(sorted_times: Sequence[float]) -> float:
    return sorted_times[ceil(0.95 * len(sorted_times)) - 1]


W15: Final = Workload(
    name="W15",
    title="Console",
    what="Every page of the console, one after the other, with five million notifications and a million open dead letters in 200 "
    "groups, while messages are delivered at a quarter of the W1 rate; then while all dead letters are replayed too.",
    columns=(
        Column("p50_ms", "page p50, ms", ",.1f"),
        Column("p95_ms", "page p95, ms", ",.1f"),
        Column("slowest_p95_ms", "p95 of the slowest page, ms", ",.1f"),
        Column("kb", "largest page, kB", ",.1f"),
        Column("choose_s", "choosing, s", ",.2f"),
        Column("start_s", "started after, s", ",.2f"),
        Column("replayed", "replayed/s"),
    ),
    measure=measure,
    only=frozenset({"Tidings"}),
)
