"""A copy that can't be sent is retried for itself, leaves a dead letter that names it, and is replayed alone."""

import json
from dataclasses import replace

from tests.doubles.channel import ScriptedChannel
from tests.integration.dead_letters.conftest import MakeRig, Tidings
from tests.support.dead_letter_rig import DeadLetterRig

from tidings.cli.recipients import copies
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import Unavailable
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import SendRequest
from tidings.delivery.recipients import RecipientResult, RecipientState, roles
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.operations.dead_letters.plan import Plan

BOB, EVE = "bob@example.com", "eve@example.com"
OPEN = DeadLetterFilter(states=(DeadLetterState.OPEN,))


def addressees(request: SendRequest) -> list[str]:
    """Whom a channel has to ask: those of whom nothing is settled yet."""
    settled = {recipient.address for recipient in request.recipients if recipient.settled}
    return [address for address in roles(request.notification) if address not in settled]


def answering(**states: RecipientState) -> "Mailboxes":
    return Mailboxes({f"{name}@example.com": state for name, state in states.items()})


class Mailboxes:
    """A script: what a relay says of each address; everybody else's mail is taken."""

    def __init__(self, states: dict[str, RecipientState]) -> None:
        self.states = states
        self.requests: list[list[str]] = []

    def __call__(self, request: SendRequest, _: int) -> Sent:
        everybody = addressees(request)
        self.requests.append(everybody)
        results = tuple(self._result(request, address) for address in everybody)
        alike = all(result.state is RecipientState.SENT for result in results)
        reported = () if alike and not request.recipients else results
        return Sent("smtp:relay", f"Q{len(self.requests)}", "250", recipients=reported)

    def _result(self, request: SendRequest, address: str) -> RecipientResult:
        state = self.states.get(address, RecipientState.SENT)
        result = RecipientResult(address, roles(request.notification)[address], state)
        if state is RecipientState.SENT:
            return result
        return replace(result, kind="rejected", code="550 5.1.1", message="nobody here")


async def test_a_copy_put_off_is_asked_again_alone(rig: DeadLetterRig) -> None:
    mailboxes = answering(bob=RecipientState.DEFERRED)
    channel = ScriptedChannel(script=mailboxes)
    async with rig.working(channel):
        id = await rig.publish(cc=[BOB], bcc=[EVE])
        await rig.reaches(id, "retrying")
        mailboxes.states.clear()
        await rig.reaches(id, "sent")

    assert mailboxes.requests == [["ada@example.com", BOB, EVE], [BOB]]
    attempts = await rig.fetch("SELECT state, reference FROM attempts ORDER BY attempt")
    assert [tuple(row.values()) for row in attempts] == [("retrying", "Q1"), ("sent", "Q2")]
    [row] = await rig.fetch("SELECT reference, reason FROM notifications")
    assert (row["reference"], row["reason"]) == ("Q1", None)


async def test_a_relay_that_is_down_for_the_copies_makes_no_failure_of_the_mail(
    rig: DeadLetterRig,
) -> None:
    mailboxes = answering(bob=RecipientState.DEFERRED)

    def then_down(request: SendRequest, before: int) -> Sent | Exception:
        return Unavailable("busy") if before else mailboxes(request, before)

    async with rig.working(ScriptedChannel(script=then_down)), rig.archiving():
        id = await rig.publish(cc=[BOB])
        await rig.reaches(id, "sent")
        [dead_letter] = await rig.dead_letters()

    assert (dead_letter["reason"], dead_letter["kind"]) == ("copies_refused", "unavailable")
    assert dead_letter["message"] == "sent; 1 of 1 copies given up: busy"


async def test_a_copy_refused_for_good_is_a_dead_letter_that_names_it(rig: DeadLetterRig) -> None:
    mailboxes = answering(eve=RecipientState.REFUSED)
    async with rig.working(ScriptedChannel(script=mailboxes)), rig.archiving():
        id = await rig.publish(cc=[BOB], bcc=[EVE])
        await rig.reaches(id, "sent")
        [dead_letter] = await rig.dead_letters()
        async with rig.ledger() as ledger:
            story = await ledger.reports.show(id)
            named = await ledger.reports.recipients(id, 0)
            findings = await ledger.audit.examine(dead_letter["first_failed_at"], 0.0)  # type: ignore[arg-type]  # a time

    assert (dead_letter["state"], dead_letter["reason"], dead_letter["code"]) == (
        "open",
        "copies_refused",
        "550 5.1.1",
    )
    assert dead_letter["message"] == "sent; 1 of 2 copies refused: nobody here"
    assert [row.address for row in named if row.state == "refused"] == [EVE]
    assert story is not None
    assert story.recipients == named
    lines = copies(named)
    assert lines is not None
    assert len(lines.renderables) == 1
    assert (findings.violations, findings.unarchived) == ((), None)


async def test_the_terminal_names_who_has_not_got_it_and_masks_them(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    mailboxes = answering(eve=RecipientState.REFUSED)
    async with rig.working(ScriptedChannel(script=mailboxes)), rig.archiving():
        id = await rig.publish(cc=[BOB], bcc=[EVE])
        [dead_letter] = await rig.dead_letters()
    for command in (("show", str(id)), ("dead", "show", str(dead_letter["id"]))):
        shown = await tidings(*command)
        assert "bcc  e…@example.com  refused  550 5.1.1 nobody here" in shown.out
        assert EVE not in shown.out
        assert "b…@example.com" not in shown.out.partition("Body")[0]
        assert EVE in (await tidings(*command, "--reveal")).out
        named = json.loads((await tidings(*command, "--json")).out)["recipient_results"]
        assert [row["state"] for row in named] == ["sent", "sent", "refused"]
    listed = await tidings("dead", "list", "--reason", "copies_refused")
    assert str(dead_letter["id"])[:8] in listed.out
    planned = await tidings("replay", "--reason", "copies_refused", "--dry-run")
    assert planned.code == 0, planned.err


async def test_a_mail_that_its_recipient_has_is_not_called_off(
    make_rig: MakeRig, tidings: Tidings
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_RETRY="1m")
    async with rig.working(ScriptedChannel(script=answering(bob=RecipientState.DEFERRED))):
        id = await rig.publish(cc=[BOB])
        await rig.reaches(id, "retrying")
        refused = await tidings("cancel", str(id), "--note", "a mistake")
    assert refused.code == 1
    assert "its recipient has received it; only copies are still retried" in refused.err


async def test_a_replay_of_a_copys_dead_letter_reaches_only_whom_the_mail_has_not_reached(
    rig: DeadLetterRig,
) -> None:
    mailboxes = answering(eve=RecipientState.REFUSED)
    async with rig.working(ScriptedChannel(script=mailboxes)), rig.archiving():
        id = await rig.publish(cc=[BOB], bcc=[EVE])
        await rig.dead_letters()
        again = await rig.replay(OPEN, Plan(watch=10))
        await rig.dead_letters(2)
        mailboxes.states.clear()
        well = await rig.replay(OPEN, Plan(watch=10))
        assert await rig.state(id) == "sent"
        forced = await rig.replay(DeadLetterFilter(), Plan(watch=10, force=True))

    assert mailboxes.requests[1:] == [[EVE], [EVE], ["ada@example.com", BOB, EVE]]
    assert (again.outcomes.failed, again.outcomes.delivered) == (1, 0)
    assert (well.outcomes.failed, well.outcomes.delivered) == (0, 1)
    assert forced.replayed == 1


async def test_a_mended_copy_is_sent_to_its_new_address_alone(rig: DeadLetterRig) -> None:
    mailboxes = answering(eve=RecipientState.REFUSED)
    async with rig.working(ScriptedChannel(script=mailboxes)), rig.archiving():
        id = await rig.publish(cc=[BOB], bcc=[EVE])
        [dead_letter] = await rig.dead_letters()
        body = dead_letter["body"].replace(EVE.encode(), b"eva@example.com")  # type: ignore[attr-defined]  # bytes
        async with rig.ledger() as ledger:
            await ledger.dead_letters.editing.supersede(
                dead_letter["id"],  # type: ignore[arg-type]  # a UUID
                body,
                expires_at=lambda _: None,
                actor="test",
            )
        await rig.replay(OPEN, Plan(watch=10))
        assert await rig.state(id) == "sent"

    assert mailboxes.requests[1:] == [["eva@example.com"]]


async def test_a_dead_letter_of_a_copy_that_is_closed_leaves_the_mail_as_sent(
    rig: DeadLetterRig,
) -> None:
    async with (
        rig.working(ScriptedChannel(script=answering(bob=RecipientState.REFUSED))),
        rig.archiving(),
    ):
        id = await rig.publish(cc=[BOB])
        [dead_letter] = await rig.dead_letters()
        async with rig.ledger() as ledger:
            await ledger.dead_letters.closings.discard(
                [dead_letter["id"]], "a typing error", actor="test"
            )  # type: ignore[list-item]  # a UUID

    assert await rig.state(id) == "sent"
