"""Every error is a problem of RFC 9457, and none tells what is inside."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from pydantic import BaseModel, ConfigDict, Field
from tests.support.api_rig import Answer, ApiRig, serving

from tidings.api import limits
from tidings.api.route import AnyCall, Documented, Reply, Route
from tidings.delivery.errors import (
    BrokerUnavailable,
    InvalidRequest,
    LedgerUnavailable,
    NotFound,
    Refused,
    TidingsError,
)
from tidings.operations.scopes import Scope
from tidings.settings import Settings
from tidings_events.errors import InvalidNotification

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "hunter2"


class Order(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=20, examples=["lamp"])
    count: int = Field(default=1, ge=1, le=9)


async def _fails(call: AnyCall) -> Reply:
    raise ERRORS[call.headers["x-error"]]


async def _reads(call: AnyCall) -> Reply:
    return Reply({"name": call.body.name, "count": call.body.count})


ERRORS: dict[str, Exception] = {
    "unexpected": RuntimeError(f"password={SECRET}"),
    "unknown": TidingsError(f"password={SECRET}"),
    "not found": NotFound("there is no lamp"),
    "refused": Refused("it was sent"),
    "invalid": InvalidRequest("it is empty", field="note"),
    "invalid notification": InvalidNotification(
        ["recipient: is missing", "attachments[0].filename: is too long"]
    ),
    "no ledger": LedgerUnavailable(f"postgresql://me:{SECRET}@db"),
    "no broker": BrokerUnavailable(f"amqp://me:{SECRET}@mq"),
}
MODEL = {200: Documented("It worked", Order)}
FAILS = Route("GET", "/v1/fails", _fails, Scope.READ, "Fail", MODEL, "test")
READS = Route(
    "POST", "/v1/orders", _reads, Scope.SEND, "Order", MODEL, "test", body_model=Order, max_body=100
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_settings: Settings) -> AsyncIterator[ApiRig]:
    async with serving(module_settings, FAILS, READS) as rig:
        yield rig


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def key(api: ApiRig) -> str:
    return await api.key()


def is_problem(answer: Answer, status: int, kind: str) -> bool:
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.data["request_id"] == answer.headers["X-Request-Id"]
    assert {"type", "title", "status", "detail", "request_id"} <= set(answer.data)
    assert SECRET.encode() not in answer.body
    assert b"Traceback" not in answer.body
    found = (answer.status, answer.data["status"], answer.data["type"])
    return found == (status, status, f"urn:tidings:problem:{kind}")


async def test_each_error_of_an_operation_has_its_status(api: ApiRig, key: str) -> None:
    for name, status, kind in (
        ("unexpected", 500, "internal"),
        ("unknown", 500, "internal"),
        ("not found", 404, "not-found"),
        ("refused", 409, "conflict"),
        ("invalid", 422, "invalid"),
        ("invalid notification", 422, "invalid"),
        ("no ledger", 503, "unavailable"),
        ("no broker", 503, "unavailable"),
    ):
        answer = await api.ask("GET", "/v1/fails", key, headers={"x-error": name})
        assert is_problem(answer, status, kind), name
        assert ("Retry-After" in answer.headers) is (status == 503)


async def test_each_value_at_fault_has_a_pointer(api: ApiRig, key: str) -> None:
    headers = {"x-error": "invalid notification"}
    answer = await api.ask("GET", "/v1/fails", key, headers=headers)
    assert [(error["pointer"], error["detail"]) for error in answer.data["errors"]] == [
        ("/recipient", "recipient: is missing"),
        ("/attachments/0/filename", "attachments[0].filename: is too long"),
    ]


async def test_a_valid_body_is_read(api: ApiRig, key: str) -> None:
    answer = await api.ask("POST", "/v1/orders", key, json={"name": "lamp", "count": 2})
    assert (answer.status, answer.data) == (200, {"name": "lamp", "count": 2})


@pytest.mark.parametrize(
    ("body", "pointer", "code", "detail"),
    [
        (b"", "", "not_json", "is empty"),
        (b"{", "", "not_json", "is not valid JSON"),
        (b"\xff\xfe", "", "not_json", "is not UTF-8"),
        (b"[]", "", "type", "is not an object"),
        (b"{}", "/name", "missing", "name: is missing; write it like lamp"),
        (b'{"name": 1}', "/name", "type", "name: 1 must be a string"),
        (b'{"name": "a", "count": 10}', "/count", "out_of_range", "count: 10 is too large"),
        (b'{"name": "a", "count": "1"}', "/count", "type", "count:"),
        (b'{"name": "a", "count": true}', "/count", "type", "count:"),
        (b'{"name": "a", "cuont": 1}', "/cuont", "unknown_field", "did you mean `count`?"),
    ],
)
async def test_an_invalid_body_is_told_by_field(
    api: ApiRig, key: str, body: bytes, pointer: str, code: str, detail: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.ask("POST", "/v1/orders", key, headers=headers, data=body)
    assert is_problem(answer, 422, "invalid")
    [error] = answer.data["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert detail in error["detail"]


async def test_what_is_not_declared_as_json_is_not_read(api: ApiRig, key: str) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"):
        headers = {"Content-Type": media_type}
        answer = await api.ask("POST", "/v1/orders", key, headers=headers, data=b"{}")
        assert is_problem(answer, 415, "unsupported-media-type"), media_type


async def test_a_declared_body_that_is_too_large_is_refused_before_it_arrives(
    api: ApiRig, key: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.api.port)
    writer.write(
        f"POST /v1/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 101\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    await reader.read()  # it closes the connection
    writer.close()


async def test_a_body_that_never_comes_is_not_waited_for(
    api: ApiRig, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_PATIENCE", 0.2)
    for arrived in ("", '{"name"'):
        reader, writer = await asyncio.open_connection("127.0.0.1", api.api.port)
        writer.write(
            f"POST /v1/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{arrived}".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 408 ")
        await reader.read()  # it closes the connection
        writer.close()


async def test_a_chunked_body_that_grows_too_large_is_cut_off(api: ApiRig, key: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 60
            await asyncio.sleep(0)

    headers = {"Content-Type": "application/json"}
    try:
        answer = await api.ask("POST", "/v1/orders", key, headers=headers, data=endless())
        assert is_problem(answer, 413, "too-large")
    except aiohttp.ClientOSError:
        pass  # it was closed while the client still wrote


async def test_parameters_are_told_by_name(api: ApiRig, key: str) -> None:
    id_ = "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d"
    for path, parameter in (
        ("/v1/notifications/1", "id"),
        (f"/v1/notifications/{id_}?reveal=perhaps", "reveal"),
        (f"/v1/notifications/{id_}?reveal=true&reveal=false", "reveal"),
        (f"/v1/notifications/{id_}?unmask=true", "unmask"),
    ):
        answer = await api.ask("GET", path, key)
        assert is_problem(answer, 422, "invalid")
        assert [error["parameter"] for error in answer.data["errors"]] == [parameter]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("sate=sent", "sate: is not a parameter of this route; did you mean `state`?"),
        ("zzz=1", "zzz: is not a parameter of this route; remove it"),
        (
            "x is not a field of ListQuery; y=1",
            "x is not a field of ListQuery; y: is not a parameter of this route; remove it",
        ),
    ],
)
async def test_an_unknown_parameter_is_told_as_one(
    api: ApiRig, key: str, query: str, detail: str
) -> None:
    answer = await api.ask("GET", f"/v1/notifications?{query}", key)
    assert is_problem(answer, 422, "invalid")
    [error] = answer.data["errors"]
    assert (error["code"], error["detail"]) == ("unknown_field", detail)


async def test_what_the_framework_refuses_is_a_problem_too(api: ApiRig, key: str) -> None:
    assert is_problem(await api.ask("GET", "/v1/nothing", key), 404, "not-found")
    answer = await api.ask("DELETE", "/v1/orders", key)
    assert is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("method", "path", "possible"),
    [
        ("OPTIONS", "/v1/notifications", "GET, POST"),
        ("PATCH", "/v1/notifications/batch", "POST"),
        ("DELETE", "/v1/notifications/export", "GET"),
        ("OPTIONS", "/v1/notifications/0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d", "DELETE, GET, PATCH"),
    ],
)
async def test_a_method_that_a_path_does_not_have_is_refused_with_those_that_it_has(
    api: ApiRig, key: str, method: str, path: str, possible: str
) -> None:
    answer = await api.ask(method, path, key)
    assert is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == possible


async def test_a_request_id_is_taken_over_or_made(api: ApiRig, key: str) -> None:
    given = {"X-Request-Id": "order-10042/retry=1"}
    assert (await api.ask("GET", "/healthz", headers=given)).headers["X-Request-Id"] == (
        "order-10042/retry=1"
    )
    for improper in ("", "a b", 'a"b', "x" * 129, "é"):
        answer = await api.ask("GET", "/healthz", headers={"X-Request-Id": improper})
        made = answer.headers["X-Request-Id"]
        assert made != improper
        assert len(made) == 32


async def test_what_is_not_http_is_answered_and_closed(api: ApiRig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.api.port)
    writer.write(b"\x16\x03\x01 this is TLS\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_an_unexpected_error_is_logged_with_its_request(
    api: ApiRig, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"x-error": "unexpected", "X-Request-Id": "my-request"}
    await api.ask("GET", "/v1/fails", key, headers=headers)
    logged = capsys.readouterr()
    assert "my-request" in logged.out + logged.err


async def test_a_problem_is_json_whatever_its_text_has() -> None:
    from tidings.api.problems import CONFLICT, ApiProblem

    response = ApiProblem(CONFLICT, "half a pair: \ud83d").response("1")
    assert json.loads(bytes(response.body))["status"] == 409
