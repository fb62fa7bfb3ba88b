"""What every channel promises to delivery, whatever it speaks to its provider."""

import asyncio
import contextlib
import dataclasses
import gc
import time
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.channels.rig import EXPECTED, Behaviour, Rig, Within
from tests.support.garbage import errors_that_hold_themselves

from tidings.channels.registry import SPECS
from tidings.delivery.errors import DeliveryError, Rejected, Suppression
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Channel, Content, Verdict

MARGIN = 0.5
"""Seconds a send may take beyond its timeout on a busy machine."""
SHORT = 0.4
"""Timeout, in seconds, of a send that is meant to run into it."""


@pytest.fixture
async def channel(rig: Rig) -> AsyncIterator[Channel]:
    """A channel that talks to the rig."""
    made = await rig.channel()
    yield made
    await made.close()


def test_every_channel_is_put_through_this_suite() -> None:
    rigs = (Path(__file__).parent / "rigs").glob("*_rig.py")

    assert {path.stem.removesuffix("_rig") for path in rigs} == {*SPECS, "failover"}


async def _failure(channel: Channel, rig: Rig, *, timeout: float = SHORT) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await channel.send(rig.request(timeout=timeout))
    return caught.value


async def test_a_delivered_notification_reaches_the_provider_once(
    rig: Rig, channel: Channel
) -> None:
    sent = await channel.send(rig.request())

    assert isinstance(sent, Sent)
    assert sent.provider
    assert sent.code
    assert rig.taken == 1


async def test_the_name_is_that_of_the_notifications_it_delivers(
    rig: Rig, channel: Channel
) -> None:
    assert channel.name == rig.name == rig.request().notification.channel


async def test_template_parts_fill_fields_that_content_has(rig: Rig, channel: Channel) -> None:
    parts = {**channel.template_parts.required, **channel.template_parts.optional}

    assert set(parts.values()) <= {field.name for field in dataclasses.fields(Content)}


async def test_each_failure_is_told_by_its_own_error(
    rig: Rig, channel: Channel, failure: Behaviour
) -> None:
    rig.script(failure)

    error = await _failure(channel, rig)

    assert type(error) in EXPECTED[failure]
    assert error.message
    assert error.provider


async def test_a_refusal_of_the_recipient_says_why_to_suppress_them(
    rig: Rig, channel: Channel, refusal: Behaviour
) -> None:
    rig.script(refusal)

    error = await _failure(channel, rig)

    assert isinstance(error, Rejected)
    assert error.suppress in Suppression


async def test_each_failure_is_told_alike_after_a_success(
    rig: Rig, channel: Channel, failure: Behaviour
) -> None:
    await channel.send(rig.request())
    rig.script(failure)

    assert type(await _failure(channel, rig)) in EXPECTED[failure]


async def test_the_send_after_a_failure_succeeds(
    rig: Rig, channel: Channel, failure: Behaviour
) -> None:
    rig.script(failure)
    await _failure(channel, rig)
    before = rig.taken

    await channel.send(rig.request())

    assert rig.taken == before + 1


async def test_a_failure_is_gone_once_it_is_dealt_with(
    rig: Rig, channel: Channel, answer: Behaviour
) -> None:
    rig.script(answer)

    with errors_that_hold_themselves() as left, contextlib.suppress(DeliveryError):
        await channel.send(rig.request(timeout=SHORT))

    assert left == []


async def test_no_failure_is_tried_again_behind_our_back(
    rig: Rig, channel: Channel, failure: Behaviour
) -> None:
    """An unwanted retry would find the provider healthy again, and deliver."""
    rig.script(failure)

    await _failure(channel, rig)

    assert rig.taken <= 1


async def test_no_failure_tells_whom_it_was_for_or_what_it_said(
    rig: Rig, channel: Channel, failure: Behaviour
) -> None:
    rig.script(failure)

    error = await _failure(channel, rig)

    text = "".join(traceback.format_exception(error)) + repr(error) + error.provider + error.code
    assert [each for each in rig.personal if each.lower() in text.lower()] == []


async def test_a_send_ends_by_itself_in_its_time(
    rig: Rig, channel: Channel, failure: Behaviour
) -> None:
    rig.script(failure)
    began = time.monotonic()

    await _failure(channel, rig)

    assert time.monotonic() - began < SHORT + MARGIN


async def test_a_cancelled_send_ends_at_once_and_harms_no_other(
    rig: Rig, channel: Channel, silence: Behaviour, within: Within
) -> None:
    rig.script(silence)
    sending = asyncio.create_task(channel.send(rig.request(timeout=30)))
    await within(lambda: rig.silent == 1)

    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(MARGIN):
            await sending
    await channel.send(rig.request())
    await within(lambda: rig.silent == 0)


async def test_sends_at_once_do_not_mix_up_their_outcomes(rig: Rig, channel: Channel) -> None:
    behaviours = [
        *(each for each in Behaviour if each in rig.speaks),
        *([Behaviour.DELIVERED] * 20),
    ]
    rig.script(*behaviours)
    requests = [rig.request(timeout=2) for _ in behaviours]

    outcomes = await asyncio.gather(*map(channel.send, requests), return_exceptions=True)

    expected = sum(each is Behaviour.DELIVERED for each in behaviours)
    assert sum(isinstance(outcome, Sent) for outcome in outcomes) == expected
    assert all(isinstance(outcome, Sent | DeliveryError) for outcome in outcomes)


async def test_many_cancelled_sends_leave_room_for_others(
    rig: Rig, channel: Channel, silence: Behaviour, within: Within
) -> None:
    rig.script(*[silence] * 3)
    sending = [asyncio.create_task(channel.send(rig.request(timeout=30))) for _ in range(40)]
    await within(lambda: rig.silent >= 1)

    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)

    rig.script()
    async with asyncio.timeout(5):
        await asyncio.gather(*(channel.send(rig.request()) for _ in range(10)))


async def test_a_check_finds_no_fault_where_there_is_none_and_sends_nothing(
    rig: Rig, channel: Channel
) -> None:
    findings = await channel.check()

    assert findings
    assert {finding.verdict for finding in findings} <= {Verdict.OK, Verdict.WARNING}
    assert all(finding.subject and finding.detail for finding in findings)
    assert rig.taken == 0


async def test_a_check_reports_a_fault_with_its_remedy(
    rig: Rig, channel: Channel, fault: Behaviour
) -> None:
    rig.script(fault)

    findings = await channel.check()

    faults = [finding for finding in findings if finding.verdict is Verdict.FAULT]
    assert faults
    assert all(finding.detail and finding.remedy for finding in faults)


async def test_closing_gives_back_connections_and_tasks(rig: Rig, within: Within) -> None:
    before = asyncio.all_tasks()
    channel = await rig.channel()
    rig.script(Behaviour.REJECTED)
    await asyncio.gather(*(channel.send(rig.request()) for _ in range(5)), return_exceptions=True)

    await channel.close()

    await within(lambda: rig.connections == 0)
    await within(lambda: asyncio.all_tasks() <= before)
    gc.collect()


async def test_closing_twice_or_unused_is_harmless(rig: Rig) -> None:
    channel = await rig.channel()

    await channel.close()
    await channel.close()
