"""Notes on one dead letter and on a group: replaced, removed, recorded, and of each tenant its own."""

import asyncio
from typing import Any

import pytest
from tests.integration.api.test_jobs_and_dead_letters import made
from tests.support.api_rig import ApiRig

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def note(api: ApiRig, path: str, key: str, text: str) -> Any:
    return await api.ask("PUT", f"{path}/note", key, json={"note": text})


async def trail(api: ApiRig, name: str, value: str) -> list[tuple[str, str]]:
    """Actions and notes about something, oldest first."""
    query = "SELECT action, note FROM operator_actions WHERE details ->> $1 = $2 ORDER BY at, id"
    return [(row["action"], row["note"]) for row in await api.fetch(query, name, value)]


async def test_a_note_says_who_and_when_and_is_replaced_removed_and_recorded(api: ApiRig) -> None:
    key = await api.key("read", "operate", tenant="shop", name="ada")
    id = await made(api, group="c001")
    path = f"/v1/dead-letters/{id}"
    assert (await note(api, path, key, " ")).status == 422
    await note(api, path, key, "asked the customer")
    noted = (await note(api, path, key, "asked again")).data
    assert (noted["note"], noted["noted_by"][:7]) == ("asked again", "api-key")
    assert noted["noted_at"] is not None
    (listed,) = (await api.ask("GET", "/v1/dead-letters?fingerprint=c001", key)).data["data"]
    assert listed["noted_at"] == noted["noted_at"]
    for _ in range(2):
        removed = await api.ask("DELETE", f"{path}/note", key)
        assert (removed.status, removed.data["note"], removed.data["noted_by"]) == (200, None, None)
    assert await trail(api, "dead_letter", str(id)) == [
        ("note", "asked the customer"),
        ("note", "asked again"),
        ("remove note", ""),
    ]


async def test_a_note_goes_over_to_the_edited_one_and_only_that_of_an_open_one_changes(
    api: ApiRig,
) -> None:
    key = await api.key("read", "operate", "reveal", tenant="shop")
    path = f"/v1/dead-letters/{await made(api, group='c002')}"
    await note(api, path, key, "new address")
    change = {"set": {"recipient": "grace@example.com"}}
    edited = (await api.ask("PATCH", path, key, json=change)).data
    assert (edited["note"], edited["noted_by"] is None) == ("new address", False)
    old = (await api.ask("GET", path, key)).data
    assert (old["note"], old["noted_by"]) == (f"edited: replaced by {edited['id']}", None)
    assert (await note(api, path, key, "too late")).status == 409
    assert (await api.ask("DELETE", f"{path}/note", key)).status == 409
    discarded = await api.ask(
        "POST", f"/v1/dead-letters/{edited['id']}/discard", key, json={"note": "test data"}
    )
    assert (discarded.data["note"], discarded.data["noted_by"] is None) == ("test data", False)


async def test_a_group_has_a_note_of_each_tenant_and_one_of_all(api: ApiRig) -> None:
    shop = await api.key("read", "operate", tenant="shop")
    other = await api.key("read", "operate", tenant="other")
    all_ = await api.key("read", "operate")
    ids = {tenant: await made(api, tenant, group="c003") for tenant in ("shop", "other")}
    path = "/v1/dead-letters/groups/c003"
    await note(api, path, shop, "ticket 1")
    await made(api, "shop", group="c0030")
    assert (await note(api, "/v1/dead-letters/groups/c003", shop, "ticket 2")).status == 200
    assert (await note(api, "/v1/dead-letters/groups/c0", shop, "ticket 3")).status == 409
    await note(api, path, all_, "our relay")
    await note(api, path, other, "ticket 9")

    async def notes(key: str, filters: str = "") -> list[tuple[str, str]]:
        answer = await api.ask("GET", f"/v1/dead-letters/groups?fingerprint=c003{filters}", key)
        (group,) = (found for found in answer.data["data"] if found["fingerprint"] == "c003")
        return [(found["tenant"], found["note"]) for found in group["notes"]]

    assert await notes(shop) == [("shop", "ticket 2")]
    assert await notes(other) == [("other", "ticket 9")]
    everyone = [("*", "our relay"), ("other", "ticket 9"), ("shop", "ticket 2")]
    assert sorted(await notes(all_)) == everyone
    assert await notes(all_, "&tenant=shop") == [("shop", "ticket 2")]
    shown = await api.ask("GET", f"/v1/dead-letters/{ids['shop']}", shop)
    assert [found["note"] for found in shown.data["group_notes"]] == ["ticket 2"]

    assert (await api.ask("DELETE", f"{path}/note?tenant=shop", other)).status == 403
    assert (await api.ask("DELETE", f"{path}/note?tenant=other", all_)).status == 204
    assert (await api.ask("DELETE", f"{path}/note", other)).status == 404
    assert await notes(other) == []
    assert ("remove note", "") in await trail(api, "group", "c003")


async def test_a_tenant_notes_nothing_on_a_group_that_it_has_not(api: ApiRig) -> None:
    await made(api, "shop", group="c004")
    other = await api.key("read", "operate", tenant="other")
    assert (await note(api, "/v1/dead-letters/groups/c004", other, "x")).status == 404
    assert (await note(api, "/v1/dead-letters/groups/nonsense", other, "x")).status == 422
    reader = await api.key("read", tenant="shop")
    assert (await note(api, "/v1/dead-letters/groups/c004", reader, "x")).status == 403


async def test_two_notes_at_the_same_time_leave_one(api: ApiRig) -> None:
    key = await api.key("read", "operate", tenant="shop")
    await made(api, "shop", group="c005")
    path = "/v1/dead-letters/groups/c005"
    answers = await asyncio.gather(*(note(api, path, key, f"n{n}") for n in range(5)))
    assert {answer.status for answer in answers} == {200}
    found = await api.fetch("SELECT note FROM dead_letter_group_notes WHERE fingerprint = 'c005'")
    assert len(found) == 1
    assert len(await trail(api, "group", "c005")) == 5


async def test_a_group_has_an_owner_of_each_tenant_and_one_of_all(api: ApiRig) -> None:
    shop = await api.key("read", "operate", tenant="shop", name="ada")
    other = await api.key("read", "operate", tenant="other")
    all_ = await api.key("read", "operate")
    for tenant in ("shop", "other"):
        await made(api, tenant, group="c006")
    path = "/v1/dead-letters/groups/c006/owner"

    async def own(key: str, name: str, query: str = "") -> Any:
        return await api.ask("PUT", f"{path}{query}", key, json={"owner": name})

    async def owners(key: str) -> list[tuple[str, str]]:
        answer = await api.ask("GET", "/v1/dead-letters/groups?fingerprint=c006", key)
        return [(found["tenant"], found["owner"]) for found in answer.data["data"][0]["owners"]]

    for wrong in ("", "  ", "x" * 65, "jane\u202e", "jane\n"):
        assert (wrong, (await own(shop, wrong)).status) in {(wrong, 422), ("jane\n", 200)}
    await own(shop, "  jane ")
    owned = (await own(shop, "grace")).data
    assert (owned["fingerprint"], owned["owner"], owned["set_by"][:11]) == (
        *("c006", "grace", "api-key ada"),
    )
    await own(all_, "joan")
    await own(all_, "ida", "?tenant=other")
    assert await owners(shop) == [("shop", "grace")]
    assert await owners(all_) == [("*", "joan"), ("other", "ida"), ("shop", "grace")]
    assert (await own(other, "eve", "?tenant=shop")).status == 403
    assert (await api.ask("DELETE", path, other)).status == 204
    assert (await api.ask("DELETE", path, other)).status == 404
    assert await owners(other) == []
    trail_ = await api.fetch(
        "SELECT action, details ->> 'owner' AS owner FROM operator_actions"
        " WHERE details ->> 'group' = 'c006' AND action LIKE '%owner' ORDER BY at, id"
    )
    assert [(row["action"], row["owner"]) for row in trail_][-3:] == [
        *(("owner", "joan"), ("owner", "ida"), ("remove owner", None)),
    ]


async def test_the_owner_of_a_group_is_nobodys_who_has_no_such_group(api: ApiRig) -> None:
    await made(api, "shop", group="c007")
    path, body = "/v1/dead-letters/groups/c007/owner", {"owner": "jane"}
    other = await api.key("read", "operate", tenant="other")
    assert (await api.ask("PUT", path, other, json=body)).status == 404
    reader = await api.key("read", tenant="shop")
    assert (await api.ask("PUT", path, reader, json=body)).status == 403


async def test_groups_have_pages_with_cursors_of_their_list(api: ApiRig) -> None:
    key = await api.key("read", tenant="paged")
    for group, times in (("d001", 2), ("d002", 1), ("d003", 1)):
        for _ in range(times):
            await made(api, "paged", group=group)
    found, path = [], "/v1/dead-letters/groups?limit=1"
    page = await api.ask("GET", path, key)
    cursor = first = page.data["next_cursor"]
    found += [group["fingerprint"] for group in page.data["data"]]
    while cursor is not None:
        page = await api.ask("GET", f"{path}&cursor={cursor}", key)
        cursor = page.data["next_cursor"]
        found += [group["fingerprint"] for group in page.data["data"]]
    assert found == ["d001", "d002", "d003"]
    for refused in (f"{path}&cursor={first}&channel=sms", f"{path}&cursor=nonsense"):
        assert (await api.ask("GET", refused, key)).status == 422
    other = await api.key("read", tenant="other")
    assert (await api.ask("GET", f"{path}&cursor={first}", other)).status == 422
