"""One dead letter edited in the console: in fields or as JSON, looked at, stored with a reason, and sent."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.support.console_forms import EditForm
from tests.support.console_rig import ConsoleRig, Person
from tests.support.stored_dead_letters import store_dead_letter

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def stored(console: ConsoleRig, group: str, **fields: Any) -> str:
    return str(await store_dead_letter(console.api, group, **fields))


async def operator(console: ConsoleRig, **fields: Any) -> Person:
    return await console.person("read", "operate", "reveal", tenant="shop", **fields)


async def opened(person: Person, id_: str) -> EditForm:
    shown = await person.get(f"/failures/dead-letters/{id_}/edit")
    assert shown.status == 200, shown.text
    return EditForm(shown)


async def body_of(console: ConsoleRig, id_: str) -> Any:
    (row,) = await console.api.fetch("SELECT body FROM dead_letters WHERE id = $1", UUID(id_))
    return json.loads(row["body"])


async def test_a_field_is_typed_looked_at_and_sent_with_a_reason(console: ConsoleRig) -> None:
    id_ = await stored(console, "ed01", data={"price": 1.5, "name": "Ada"}, expires_at=None)
    person = await operator(console)
    form, path = await opened(person, id_), f"/failures/dead-letters/{id_}/edit"
    assert form.fields["field.recipient"] == "ada@example.com"
    changed = form.typed(field__recipient="ada@example.org", note="she called", do="send")
    first = await person.send(path, changed)
    assert (first.status, "Look at what changes, then send it" in first.text) == (422, True)
    assert '+ "recipient": "ada@example.org",' in first.text
    assert '- "recipient": "ada@example.com",' in first.text
    form = EditForm(first)
    assert json.loads(form.fields["raw"])["recipient"] == "ada@example.org"
    assert form.fields["note"] == "she called"
    refused = await person.send(path, form.typed(note=" ", do="send"))
    assert (refused.status, "Give a reason" in refused.text) == (422, True)
    sent = await person.send(path, form.typed(do="send"))
    assert "Replay 1 dead letter" in sent.text, sent.text
    (new,) = await console.api.fetch("SELECT * FROM dead_letters WHERE supersedes = $1", UUID(id_))
    assert (new["note"], new["state"]) == ("she called", "open")
    assert new["noted_by"].startswith("console ")
    assert json.loads(new["body"])["recipient"] == "ada@example.org"
    assert b"1.5" in new["body"]
    (audit,) = await console.api.fetch(
        "SELECT note, details ->> 'superseded_by' AS new FROM operator_actions WHERE action = 'edit dead letter' "
        "AND details ->> 'dead_letter' = $1",
        id_,
    )
    assert (audit["note"], audit["new"]) == ("she called", str(new["id"]))
    (item,) = await console.api.fetch("SELECT job FROM job_items WHERE item = $1", new["id"])
    assert str(item["job"]) in sent.path


async def test_the_json_is_typed_and_the_fields_follow(console: ConsoleRig) -> None:
    id_ = await stored(console, "ed02", recipient="nobody", reason="malformed")
    person = await operator(console)
    form, path = await opened(person, id_), f"/failures/dead-letters/{id_}/edit"
    raw = form.fields["raw"].replace('"nobody"', '"ada@example.org"')
    form = EditForm(await person.send(path, form.typed(raw=raw, do="check")))
    assert form.fields["field.recipient"] == "ada@example.org"
    kept = await person.send(path, form.typed(note="typing error", do="keep"))
    assert "The edit was stored; nothing was sent." in kept.text
    new = kept.path.rsplit("/", maxsplit=1)[-1]
    assert (await body_of(console, new))["recipient"] == "ada@example.org"
    assert await console.api.fetch("SELECT FROM job_items WHERE item = $1", UUID(new)) == []


async def test_what_is_wrong_is_said_and_what_was_typed_stays(console: ConsoleRig) -> None:
    id_ = await stored(console, "ed03", max_retries=3)
    person = await operator(console)
    form, path = await opened(person, id_), f"/failures/dead-letters/{id_}/edit"
    for changes, words in (
        ({"field__recipient": "nobody"}, 'recipient: "nobody"'),
        ({"field__recipient": ""}, "recipient: is missing"),
        ({"field__max_retries": "many"}, "max_retries: 'many' is not JSON"),
        ({"raw": "{half"}, "not valid JSON"),
        ({"raw": "{}", "field__subject": "Hi"}, "were both changed"),
        ({"field__expires_at": "tomorrow"}, "expires_at"),
    ):
        shown = await person.send(path, form.typed(**changes, note="x", do="send"))
        assert (shown.status, words in shown.text) == (422, True), (changes, shown.text)
        for name, text in changes.items():
            found = EditForm(shown).fields.get(name.replace("__", "."))
            assert found == text or name == "field__recipient", (name, found)
    twice = EditForm(await person.send(path, form.typed(raw="{}", field__subject="Hi", do="check")))
    again = await person.send(path, twice.typed(raw=form.fields["raw"], note="x", do="check"))
    assert '+ "subject": "Hi"' in again.text
    unchanged = await person.send(path, form.typed(note="x", do="send"))
    assert "Nothing is changed" in unchanged.text
    assert (
        await console.api.fetch("SELECT FROM dead_letters WHERE supersedes = $1", UUID(id_)) == []
    )


async def test_while_it_is_typed_problems_and_changes_are_told_to_the_script(
    console: ConsoleRig,
) -> None:
    id_ = await stored(console, "ed04")
    person = await operator(console, name="jane")
    recorded = "SELECT actor FROM operator_actions WHERE details ->> 'dead_letter' = $1"
    path = f"/failures/dead-letters/{id_}/check"
    direct = await person.send(path, raw="{}")
    assert len(await console.api.fetch(recorded, id_)) == 1, direct.text
    form = await opened(person, id_)
    for _ in range(3):
        shown = await person.send(path, form.typed(field__recipient="nobody"))
        data = json.loads(shown.html)
        assert 'recipient: "nobody"' in data["problems"][0]
        assert json.loads(data["values"]["raw"])["recipient"] == "nobody"
    assert len(await console.api.fetch(recorded, id_)) == 2
    half = json.loads((await person.send(path, form.typed(raw="{"))).html)
    assert set(half["values"]) == {"raw", "seen_raw"}
    follows = (
        EditForm(await person.get(f"/failures/dead-letters/{id_}/edit")).fields | data["values"]
    )
    fixed = {**follows, "field.recipient": "ada@example.org"}
    data = json.loads((await person.send(path, fixed)).html)
    assert data["problems"] == []
    assert '+  "recipient": "ada@example.org",' in data["changes"]
    done = await person.send(
        f"/failures/dead-letters/{id_}/edit", {**fixed, **data["values"], "note": "x", "do": "keep"}
    )
    assert "The edit was stored" in done.text


async def test_an_edit_of_what_somebody_else_acted_on_is_refused_and_says_who(
    console: ConsoleRig,
) -> None:
    id_ = await stored(console, "ed05")
    first, second = await operator(console, name="jane"), await operator(console, name="joe")
    path, new = f"/failures/dead-letters/{id_}/edit", {"note": "x", "do": "check"}
    theirs, mine = await opened(first, id_), await opened(second, id_)
    mine = EditForm(await second.send(path, mine.typed(field__subject="Mine", **new)))
    theirs = EditForm(await first.send(path, theirs.typed(field__subject="Theirs", **new)))
    assert (await first.send(path, theirs.typed(note="x", do="keep"))).status == 200
    late = await second.send(path, mine.typed(note="my reason", do="send"))
    assert late.status == 409
    assert "It was edited by console jane" in late.text
    assert EditForm(late).fields["field.subject"] == "Mine"
    assert EditForm(late).fields["note"] == "my reason"
    shown = await second.get(path)
    assert (shown.status, "was edited by console jane" in shown.text) == (409, True)
    edited = await console.api.fetch("SELECT FROM dead_letters WHERE supersedes = $1", UUID(id_))
    assert len(edited) == 1


async def test_only_who_may_act_and_see_content_edits_and_only_their_own(
    console: ConsoleRig,
) -> None:
    id_ = await stored(console, "ed06", subject="The secret word")
    for person, status in (
        (await console.person("read", "operate", tenant="shop"), 403),
        (await console.person("read", "reveal", tenant="shop"), 403),
        (await console.person("read", "operate", "reveal", tenant="bank"), 404),
        (await operator(console, test=True), 404),
    ):
        path = f"/failures/dead-letters/{id_}"
        for shown in (
            await person.get(f"{path}/edit"),
            await person.send(f"{path}/edit", raw="{}", do="send"),
            await person.send(f"{path}/check", raw="{}"),
        ):
            assert shown.status == status
            assert "secret word" not in shown.html


async def test_what_is_in_a_body_is_never_markup(console: ConsoleRig) -> None:
    hostile = "</textarea><script>alert(1)</script>\"'{{ 7*7 }}"
    id_ = await stored(console, "ed07", subject=hostile, body="\r\nleading\r\nlines")
    person = await operator(console)
    shown = await person.get(f"/failures/dead-letters/{id_}/edit")
    assert "<script>alert" not in shown.html
    form = EditForm(shown)
    assert form.fields["field.subject"] == hostile
    unchanged = await person.send(
        f"/failures/dead-letters/{id_}/edit", form.typed(note="x", do="send")
    )
    assert "Nothing is changed" in unchanged.text


async def test_the_same_field_is_edited_in_exactly_those_that_were_seen(
    console: ConsoleRig,
) -> None:
    ids = [await stored(console, "ed08", locale="xx") for _ in range(2)]
    await stored(console, "ed08", locale="de")
    person = await operator(console)
    wanted = {"do": "edit", "field": "locale", "value": "de", "which": "all", "note": "mistyped"}
    bulk = "/failures/ed08/bulk"
    for fields, words in (
        ({**wanted, "field": ""}, "name the field"),
        ({**wanted, "which": "ticked"}, "tick the dead letters first"),
        ({**wanted, "field": "entity..id"}, "write it like"),
        ({**wanted, "value": "not a locale"}, "is not of the right form"),
        ({**wanted, "field": "recipient", "unset": "1"}, "a notification has to have it"),
        ({**wanted, "note": " "}, "give a reason"),
    ):
        refused = await person.send(bulk, fields)
        assert (refused.status, words in refused.text) == (422, True), refused.text
    shown = await person.send(bulk, wanted)
    assert "Edit 3 dead letters?" in shown.text
    assert "locale becomes de" in shown.text
    assert shown.text.count('+ "locale": "de"') == 2
    assert "It is so already." in shown.text
    assert await edited_ones(console, "ed08") == []
    await stored(console, "ed08", locale="xx")
    path = shown.path.removeprefix("/console")
    started = await person.send(f"{path}/start")
    assert "Nothing is done yet: it begins in" in started.text
    (job,) = await console.api.fetch("SELECT items, kind FROM jobs WHERE id::text = $1", path[6:])
    assert (job["items"], job["kind"]) == (3, "edit")
    undone = await person.send(f"{path}/cancel")
    assert "before it began, nothing was done" in undone.text
    ticked = await person.send(
        bulk, {**wanted, "which": "ticked", "dead_letter": ids, "replay": "1"}
    )
    assert "Edit and replay 2 dead letters?" in ticked.text
    assert "Canary waves" in ticked.text


async def edited_ones(console: ConsoleRig, group: str) -> list[Any]:
    return list(
        await console.api.fetch(
            "SELECT FROM dead_letters WHERE fingerprint = $1 AND supersedes IS NOT NULL", group
        )
    )


async def test_a_value_is_text_where_a_field_can_only_be_text(console: ConsoleRig) -> None:
    await stored(console, "ed10")
    person = await operator(console)
    wanted = {"do": "edit", "which": "all", "note": "x"}
    for field, value, shown_as in (
        ("user_id", "42", "user_id becomes … 2 characters"),
        ("max_retries", "2", "max_retries becomes 2"),
        ("locale", "pt-BR", "locale becomes pt-BR"),
    ):
        shown = await person.send("/failures/ed10/bulk", {**wanted, "field": field, "value": value})
        assert shown_as in shown.text, shown.text


async def test_what_an_edit_of_many_changes_is_masked_until_it_is_revealed_which_is_recorded(
    console: ConsoleRig,
) -> None:
    await stored(console, "ed11", subject="The secret word")
    person = await operator(console, name="jane")
    other = await console.person("read", "operate", tenant="shop")
    wanted = {"do": "edit", "which": "all", "note": "typing error"}
    wanted |= {"field": "recipient", "value": "grace@example.com"}
    shown = await person.send("/failures/ed11/bulk", wanted)
    assert '+ "recipient": "g…@example.com"' in shown.text
    for secret in ("grace@example.com", "ada@example.com"):
        assert secret not in shown.html
    path = shown.path.removeprefix("/console")
    assert (await other.send(f"{path}/reveal")).status == 403
    revealed = await person.send(f"{path}/reveal")
    assert '+ "recipient": "grace@example.com"' in revealed.text
    job = shown.path.rsplit("/", maxsplit=1)[-1]
    (noted,) = await console.api.fetch(
        "SELECT actor FROM operator_actions WHERE details ->> 'job' = $1", job
    )
    assert "jane" in noted["actor"]


async def test_only_who_may_reveal_gives_many_another_recipient(console: ConsoleRig) -> None:
    group = uuid4().hex
    await store_dead_letter(console.api, group, "shop")
    person = await console.person("read", "operate", tenant="shop")
    await person.get(f"/failures/{group}")
    fields, mine = {"do": "edit", "which": "all", "note": "x"}, '["me@example.com"]'
    for field, value in (("recipient", "me@example.com"), ("cc", mine), (" bcc ", mine)):
        given = {**fields, "field": field, "value": value}
        refused = await person.send(f"/failures/{group}/bulk", given)
        assert (refused.status, "gets to see the content" in refused.text) == (403, True), field
    fields |= {"field": "locale", "value": "de"}  # nobody else gets to see anything
    assert (await person.send(f"/failures/{group}/bulk", fields)).path.startswith("/console/jobs/")


async def test_nobody_edits_many_of_another_tenant_or_live_ones_with_a_test_key(
    console: ConsoleRig,
) -> None:
    id_ = await stored(console, "ed09", locale="xx")
    wanted = {"do": "edit", "field": "locale", "value": "de", "note": "x", "dead_letter": id_}
    for person in (
        await console.person("read", "operate", tenant="bank"),
        await operator(console, test=True),
    ):
        for which in ("ticked", "all"):
            shown = await person.send("/failures/ed09/bulk", {**wanted, "which": which})
            assert (shown.status, "Edit 0 dead letters?" in shown.text) == (200, True)
            assert "1 dead letter" not in shown.text
    assert (await body_of(console, id_))["locale"] == "xx"
