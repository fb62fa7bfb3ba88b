"""What is submitted is read by the contract's parser, with an id and a tenant in it, and otherwise as it was written."""

import json
from uuid import UUID, uuid4

import pytest
from tests.support.submission_rig import mail

from tidings.operations.api_key_format import digest
from tidings.operations.submissions.callers import Caller
from tidings.operations.submissions.ids import id_for
from tidings.operations.submissions.listing import parts_of_batch, parts_of_recipients
from tidings.operations.submissions.reading import UntimelyNotification, read_submission
from tidings_events import InvalidNotification

ID = UUID("0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d")
PEOPLE = ["ada@example.com", "bob@example.com"]


def pointers(invalid: pytest.ExceptionInfo[InvalidNotification]) -> set[str]:
    return {problem.pointer for problem in invalid.value.problems}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body",
    [
        mail(),
        b" \n" + mail(),
        mail(metadata={"id": "x", "tenant": "y"}),
        mail(entity={"type": "order", "id": "1"}),
        mail()[:-1] + b', "id": null, "tenant": null}',
    ],
)
def test_id_and_tenant_are_put_into_what_has_none(body: bytes) -> None:
    read = read_submission(body, "acme", ID)
    assert (read.notification.id, read.notification.tenant) == (ID, "acme")
    assert json.loads(read.body)["id"] == str(ID)


def test_what_a_caller_wrote_stays_as_it_is() -> None:
    body = mail(metadata={"price": 1}).replace(b": 1}", b": 1.10 }")
    assert read_submission(body, None, ID).body.endswith(body[1:])
    whole = mail(id=str(uuid4()))
    assert read_submission(whole, None, ID).body == whole


@pytest.mark.parametrize("escaped", [b'"\\u0069d"', b'"i\\u0064"'])
def test_an_id_written_with_escapes_is_the_callers(escaped: bytes) -> None:
    own = uuid4()
    read = read_submission(mail(id=str(own)).replace(b'"id"', escaped), None, ID)
    assert read.notification.id == own


def test_a_key_of_all_tenants_may_name_one_or_none() -> None:
    assert read_submission(mail(), None, ID).notification.tenant == "default"
    assert read_submission(mail(tenant="acme"), None, ID).notification.tenant == "acme"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"recipient": "nobody", "subjekt": "?"}, {"/recipient", "/subjekt"}),
        ({"scheduled_at": "2020-01-01T00:00:00Z"}, {"/scheduled_at"}),
        ({"expires_at": "2020-01-01T00:00:00Z"}, {"/expires_at"}),
        ({"tenant": "other"}, {"/tenant"}),
        ({"id": "5"}, {"/id"}),
    ],
)
def test_each_problem_names_its_field(fields: dict[str, object], expected: set[str]) -> None:
    with pytest.raises(InvalidNotification) as invalid:
        read_submission(mail(**fields), "acme", ID)
    assert pointers(invalid) == expected


@pytest.mark.parametrize(
    ("fields", "untimely"),
    [
        ({"expires_at": "2020-01-01T00:00:00Z"}, True),
        ({"scheduled_at": "2020-01-01T00:00:00Z"}, True),
        ({"scheduled_at": "2020-01-01T00:00", "timezone": "Europe/Berlin"}, True),
        ({"expires_at": "2020-01-01T00:00:00Z", "tenant": "other"}, False),
        ({"expires_at": "2020-01-01T00:00:00Z", "recipient": "nobody"}, False),
    ],
)
def test_times_that_have_passed_are_told_apart_from_other_problems(
    fields: dict[str, object], *, untimely: bool
) -> None:
    with pytest.raises(InvalidNotification) as invalid:
        read_submission(mail(**fields), "acme", ID)
    assert isinstance(invalid.value, UntimelyNotification) is untimely


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b"\xff", b"[" * 5000])
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidNotification):
        read_submission(body, "acme", ID)
    with pytest.raises(InvalidNotification):
        parts_of_batch(body)
    with pytest.raises(InvalidNotification):
        parts_of_recipients(body)


@pytest.mark.parametrize(
    ("recipients", "fields", "pointer"),
    [
        ([], {}, "/recipients"),
        (PEOPLE[:1] * 1001, {}, "/recipients"),
        ("ada@example.com", {}, "/recipients"),
        (PEOPLE * 500, {"body": "x" * 40_000}, "/recipients"),
        (PEOPLE, {"id": str(uuid4())}, "/id"),
        (PEOPLE, {"recipient": "ada@example.com"}, "/recipient"),
        ([{"recipient": PEOPLE[0], "subject": "Own"}], {}, "/recipients/0/subject"),
    ],
)
def test_a_list_of_recipients_that_is_none_is_refused(
    recipients: object, fields: dict[str, object], pointer: str
) -> None:
    with pytest.raises(InvalidNotification) as invalid:
        parts_of_recipients(mail(**{"recipient": None, "recipients": recipients, **fields}))
    assert pointers(invalid) == {pointer}


def test_a_batch_has_nothing_beside_its_notifications() -> None:
    with pytest.raises(InvalidNotification) as invalid:
        parts_of_batch(b'{"notifications": [{}], "atomic": true}')
    assert pointers(invalid) == {"/atomic"}


def test_ids_follow_from_the_key_the_request_and_the_place_in_it() -> None:
    derived = id_for(b"hash a", "order-1")
    assert derived == id_for(b"hash a", "order-1", 0)
    others = {
        id_for(b"hash b", "order-1"),
        id_for(b"hash a", "order-2"),
        id_for(b"hash a", "order-1", 1),
        id_for(b"hash a", None),
    }
    assert derived.version == 8
    assert len({derived, *others}) == 5


def test_nobody_foresees_ids_who_knows_only_the_prefix_of_a_key() -> None:
    first, second = (Caller("tk_live_shop", digest(secret), None, "order-1") for secret in "ab")
    assert first.id_for(3) != second.id_for(3)
    assert first.id_for(3) == Caller("tk_live_shop", digest("a"), None, "order-1").id_for(3)
    assert "key_hash" not in repr(first)
