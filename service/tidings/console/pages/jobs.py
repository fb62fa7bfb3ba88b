"""Jobs: actions on many that wait to be confirmed, run, or have ended; with their progress and results."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final
from uuid import UUID

from tidings.console.equivalents import command, curl
from tidings.console.filtering import FilterNames
from tidings.console.naming import Named, id_in_path
from tidings.console.page import ConsolePage, Download, Html, SeeOther, Visit
from tidings.console.undoing import STARTED, UNDO
from tidings.delivery.errors import InvalidRequest, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState
from tidings.operations import dispatching
from tidings.operations.dead_letters import plan
from tidings.operations.dead_letters.field_changes import trial_in_words
from tidings.operations.dead_letters.plan import Plan
from tidings.operations.jobs import control, previews
from tidings.operations.jobs.control import JobItemsRequest, JobListRequest
from tidings.operations.jobs.results import results
from tidings.operations.jobs.views import JobView
from tidings.operations.scopes import Scope
from tidings.operations.suggestions import unknown
from tidings.operations.times import counted

SAMPLE: Final = 10
MANY: Final = 20
"""A replay of more is proposed in canary waves."""
ITEMS: Final = 50
LISTED: Final = 25
TITLES: Final = {
    JobKind.REPLAY: "Replay {}",
    JobKind.DISCARD: "Discard {}",
    JobKind.EDIT: "Edit {}",
    JobKind.CANCEL: "Cancel {}",
    JobKind.RETRY: "Publish {} now",
    JobKind.MARK_PENDING: "Mark {} as pending",
    JobKind.MARK_FAILED: "Mark {} as failed",
}
ENTRY: Final = "outbox entry"
THINGS: Final = {
    JobKind.CANCEL: "notification",
    JobKind.RETRY: ENTRY,
    JobKind.MARK_PENDING: ENTRY,
    JobKind.MARK_FAILED: ENTRY,
}
"""What a job's items are, if not dead letters."""
NEVER_LISTED: Final = {JobState.CHOOSING, JobState.PREVIEW}
DONE: Final = {
    "start": STARTED,
    "pause": "The job is paused: what is in progress is finished.",
    "resume": "The job goes on.",
    "cancel": "The job was cancelled: what it has not reached stays as it is.",
}


async def _list(visit: Visit) -> Html | SeeOther:
    known = {"state": tuple(state.value for state in JobState if state not in NEVER_LISTED)}
    if not visit.test:
        known["test"] = ("true",)
    names = FilterNames("/jobs", known, "state:running", frozenset({"test"}))
    if (added := names.added(visit)) is not None:
        return added
    states = tuple(_state(text) for text in visit.queries("state"))
    test = visit.test or visit.query("test") == "true"
    cursor = visit.query("cursor") or None
    request = JobListRequest(LISTED, states, visit.tenant, cursor, test)
    page = await control.list_(visit.backend, request)
    chosen = [state.value for state in states]
    values = {
        "filters": names.bar(visit),
        "page": page,
        "title_of": title_of,
        "running": any(job.state is JobState.RUNNING for job in page.data),
        "cli": command("jobs", "list", state=chosen, tenant=visit.tenant),
        "curl": curl(visit, "GET", "/v1/jobs", state=chosen, test=test),
    }
    return Html("jobs/list.html", values)


def title_of(job: JobView, items: str | None = None) -> str:
    """What a job does with so many.

    Args:
        job: The job.
        items: How many, if not all of them.
    """
    title = "Edit and replay {}" if job.then_replay else TITLES[job.kind]
    many = counted(job.items, THINGS.get(job.kind, "dead letter"))
    return title.format(many if items is None else items)


def _state(text: str) -> JobState:
    try:
        return JobState(text)
    except ValueError:
        raise InvalidRequest(unknown(text, list(JobState)), field="state") from None


async def _named(visit: Visit) -> IdPrefix:
    return IdPrefix.parse(str(await id_in_path(visit, Named.JOB)))


async def _show(visit: Visit) -> Html:
    return await job_page(visit, await _named(visit))


async def _reveal(visit: Visit) -> Html:
    return await job_page(visit, await _named(visit), reveal=True)


async def job_page(
    visit: Visit, id_: IdPrefix, *, reveal: bool = False, problem: str = "", status: int = 200
) -> Html:
    """The page of one job: to be confirmed, or how far it is.

    Args:
        visit: The request; what a form sent is shown in it again.
        id_: The job's.
        reveal: Show what an edit changes with people and content, which is recorded before.
        problem: Why what the form asks for can't be done.
        status: Of the answer.

    Raises:
        NotFound: There is no such job, or it is another tenant's.
    """
    found = await previews.show(visit.backend, visit.actor, id_, tenant=visit.tenant, reveal=reveal)
    job, waits = found.job, found.job.state in {JobState.CHOOSING, JobState.PREVIEW}
    chosen, cursor = tuple(visit.queries("result")), visit.query("cursor") or None
    request = JobItemsRequest(
        id_, SAMPLE if waits else ITEMS, chosen, tenant=visit.tenant, cursor=cursor
    )
    begin, end = _wave(job)
    values = {
        "job": job,
        "title": title_of(job),
        "undecided": title_of(job, "…"),
        "go": title_of(job, f"{job.items:,}"),
        "thing": THINGS.get(job.kind, "dead letter"),
        "items": await control.items(visit.backend, request),
        "sample": found.sample,
        "entries": found.entries,
        "edits": found.edits,
        "trial": found.trial and trial_in_words(found.trial, job.items),
        "invalid": found.trial.invalid if found.trial else 0,
        "revealed": reveal,
        "results": chosen,
        "speed": _speed(job),
        "held": job.replays
        and job.state is JobState.RUNNING
        and await dispatching.is_paused(visit.backend),
        "undo": _undo(job),
        "wave": end - begin,
        "watched": job.done >= end,
        "problem": problem,
        "pace": _pace(visit, job),
        **_equivalents(visit, job),
    }
    return Html("jobs/preview.html" if waits else "jobs/job.html", values, status)


def _speed(job: JobView) -> float | None:
    """Items a second since it was started; None before there is something to tell."""
    if job.starts_at is None or not job.done:
        return None
    until = job.ended_at or (datetime.now(UTC) if job.state is JobState.RUNNING else job.changed_at)
    seconds = (until - job.starts_at).total_seconds()
    return job.done / seconds if seconds > 0 else None


def _wave(job: JobView) -> tuple[int, int]:
    """Where the canary wave begins and ends that goes out, or of which the outcomes are awaited; equal: there is none, or all were judged."""
    left = list(Plan(canary=job.canary).waves(job.items))[len(job.waves) :]
    if job.state is not JobState.RUNNING or _undo(job) or not left:
        return 0, 0
    return left[0]


def _undo(job: JobView) -> int:
    """Seconds left in which it can be undone; 0: it has begun, or ended."""
    if job.state is not JobState.RUNNING or job.starts_at is None:
        return 0
    return max(0, ceil((job.starts_at - datetime.now(UTC)).total_seconds()))


def _equivalents(visit: Visit, job: JobView) -> dict[str, str]:
    id_ = str(job.id)
    commands = {verb: command("jobs", verb, id_) for verb in ("pause", "resume", "cancel")}
    requests = {verb: curl(visit, "POST", f"/v1/jobs/{{}}/{verb}", id_) for verb in commands}
    pace, begins = dict[str, str](), dict[str, Any](starts_in_seconds=UNDO)
    with suppress(InvalidRequest):  # the page says what is wrong
        paced = _plan(_pace(visit, job))
        pace = _words(paced)
        if any(pace.values()):
            begins["plan"] = {
                "rate_per_second": paced.rate,
                "canary": paced.canary,
                "max_failure_rate": paced.stop_at,
            }
    return {
        "show_cli": command("jobs", "show", id_),
        "show_curl": curl(visit, "GET", "/v1/jobs/{}", id_),
        "start_cli": command("jobs", "start", id_, **pace, starts_in=f"{UNDO:g}s"),
        "start_curl": curl(visit, "POST", "/v1/jobs/{}/start", id_, body=begins),
        "csv_cli": f"{command('jobs', 'items', id_, csv=True)} > job-{id_}.csv",
        "csv_curl": f"{curl(visit, 'GET', '/v1/jobs/{}/items.csv', id_)} -o job-{id_}.csv",
        "change_cli": "\n".join(commands.values()),
        "change_curl": "\n".join(requests.values()),
    }


async def _csv(visit: Visit) -> Download:
    id_ = await _named(visit)
    written = await results(visit.backend, id_, tenant=visit.tenant)
    return Download(f"job-{id_.text}.csv", written)


async def _start(visit: Visit) -> Html | SeeOther:
    id_ = await _named(visit)
    job = await control.show(visit.backend, id_, tenant=visit.tenant)
    try:
        chosen = _plan(visit.form) if job.replays else None
        await control.start(
            visit.backend,
            visit.actor,
            UUID(id_.text),
            plan=chosen,
            tenant=visit.tenant,
            starts_in=UNDO,
        )
    except InvalidRequest as invalid:
        return await job_page(visit, id_, problem=f"{invalid.field}: {invalid}", status=422)
    except Refused:
        return await _told(visit, id_, JobState.RUNNING)
    return SeeOther(f"/jobs/{job.id}", DONE["start"])


def _pace(visit: Visit, job: JobView) -> Mapping[str, str]:
    """How fast a replay goes and what stops it: as typed; else as it was previewed, or carefully if it is of many."""
    if {"rate", "canary", "stop_at"} <= visit.form.keys():
        return visit.form
    looked_at = Plan(rate=job.rate, canary=job.canary, stop_at=job.stop_at)
    many = job.replays and job.items > MANY and looked_at == Plan()
    return _words(Plan(canary=(1, 10, 100)) if many else looked_at)


def _words(plan: Plan) -> dict[str, str]:
    """A plan as people write it."""
    return {
        "rate": f"{plan.rate:g}/s" if plan.rate else "",
        "canary": ",".join(map(str, plan.canary)),
        "stop_at": f"{plan.stop_at * 100:g}%" if plan.stop_at else "",
    }


def _plan(words: Mapping[str, str]) -> Plan:
    """The plan that these words mean.

    Raises:
        InvalidRequest: One of them can't be read; it is named as people see it.
    """
    rate, canary, stop_at = (words.get(name, "").strip() for name in ("rate", "canary", "stop_at"))
    waves = _read("Canary waves", plan.waves, canary) if canary else ()
    share = _read("Stop at", plan.share, stop_at) if stop_at else None
    return Plan(
        rate=_read("Rate", plan.rate, rate if "/" in rate else f"{rate}/s") if rate else None,
        canary=waves,
        stop_at=plan.stopping(waves, share),
    )


def _read(name: str, parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidRequest(str(error), field=name) from None


async def _told(visit: Visit, id_: IdPrefix, wanted: JobState) -> Html | SeeOther:
    """The page after somebody else was faster; it names them. Who has pressed twice is told nothing."""
    job = await control.show(visit.backend, id_, tenant=visit.tenant)
    if job.state is wanted and visit.visitor.did(job.changed_by):
        return SeeOther(f"/jobs/{job.id}")
    return await job_page(visit, id_, problem="That was not possible.", status=409)


async def _pause(visit: Visit) -> Html | SeeOther:
    return await _changed(visit, "pause", JobState.PAUSED)


async def _resume(visit: Visit) -> Html | SeeOther:
    return await _changed(visit, "resume", JobState.RUNNING)


async def _cancel(visit: Visit) -> Html | SeeOther:
    return await _changed(visit, "cancel", JobState.CANCELLED)


async def _changed(visit: Visit, verb: str, becomes: JobState) -> Html | SeeOther:
    id_ = await _named(visit)
    backend, actor, tenant = visit.backend, visit.actor, visit.tenant
    note = visit.form.text("note")
    try:
        match verb:
            case "pause":
                job = await control.pause(backend, actor, id_, note=note, tenant=tenant)
            case "resume":
                job = await control.resume(backend, actor, id_, tenant=tenant)
            case _:
                job = await control.cancel(backend, actor, id_, note=note, tenant=tenant)
    except Refused:
        return await _told(visit, id_, becomes)
    return SeeOther(f"/jobs/{job.id}", DONE[verb])


PAGES: Final = (
    ConsolePage("GET", "/jobs", _list),
    ConsolePage("GET", "/jobs/{id}", _show),
    ConsolePage("GET", "/jobs/{id}/results.csv", _csv),
    ConsolePage("POST", "/jobs/{id}/reveal", _reveal, Scope.REVEAL),
    ConsolePage("POST", "/jobs/{id}/start", _start, Scope.OPERATE),
    ConsolePage("POST", "/jobs/{id}/pause", _pause, Scope.OPERATE),
    ConsolePage("POST", "/jobs/{id}/resume", _resume, Scope.OPERATE),
    ConsolePage("POST", "/jobs/{id}/cancel", _cancel, Scope.OPERATE),
)
