"""`Relay access denied` is about a recipient where the relay takes others, and about us once it takes nobody."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from tests.contract.channels.rigs.smtp_relay import Relay, Session
from tests.integration.channels.email_setup import channel_to, mail

from tidings.channels.email.channel import EmailChannel
from tidings.delivery.errors import Deferred, Misconfigured, Rejected
from tidings.delivery.outcome import Sent

DENIED = "554 5.7.1 <x@nowhere.example>: Relay access denied"
GOOD = "anna@example.org"
BAD = "bert@elsewhere.example"


async def _send_all(channel: EmailChannel, recipients: Sequence[str]) -> list[Sent | BaseException]:
    sends = (channel.send(mail(10.0, recipient=each)) for each in recipients)
    return await asyncio.gather(*sends, return_exceptions=True)


def _deny_everybody(session: Session) -> None:
    session.plan["RCPT"] = DENIED


def _deny_new_connections(old: set[Session]) -> Callable[[Session], None]:
    """As Postfix after `postfix reload`: whom it serves already it goes on serving."""

    def act(session: Session) -> None:
        if session not in old:
            _deny_everybody(session)

    return act


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and nobody was taken lately."""
    return lambda: monkeypatch.setattr("tidings.channels.email.relaying.GRACE", 0.0)


async def test_relaying_withdrawn_later_is_our_misconfiguration_and_next_to_nothing_is_rejected(
    later: Callable[[], None],
) -> None:
    async with Relay() as relay, channel_to(relay, connections=20) as channel:
        await _send_all(channel, [GOOD] * 60)
        relay.on_mail = _deny_everybody

        outcomes = await _send_all(channel, [f"u{number}@example.org" for number in range(200)])

        kinds = Counter(map(type, outcomes))
        assert set(kinds) == {Deferred, Rejected}
        assert kinds[Rejected] <= 20
        later()
        outcomes = await _send_all(channel, [GOOD] * 60)
        assert {type(outcome) for outcome in outcomes} == {Misconfigured}
        assert isinstance(outcomes[0], Misconfigured)
        assert outcomes[0].doubtful
        assert "TIDINGS_EMAIL_USERNAME" in outcomes[0].message

        relay.on_mail = lambda _: None
        assert {type(outcome) for outcome in await _send_all(channel, [GOOD] * 60)} == {Sent}
        relay.mailboxes[BAD] = DENIED
        with pytest.raises(Rejected):
            await channel.send(mail(recipient=BAD))


async def test_relaying_withdrawn_from_new_connections_only_is_found_out_while_old_ones_go_on(
    later: Callable[[], None],
) -> None:
    async with Relay() as relay, channel_to(relay, connections=4, messages_per_connection=30) as it:
        seen: set[Session] = set()
        relay.on_mail = seen.add
        await _send_all(it, [GOOD] * 8)
        relay.on_mail = _deny_new_connections(seen.copy())

        kinds = Counter(map(type, await _send_all(it, [GOOD] * 300)))

        assert kinds[Sent] > 50
        assert kinds[Rejected] <= 12
        assert kinds[Deferred] > 150
        later()
        assert {type(outcome) for outcome in await _send_all(it, [GOOD] * 20)} == {Misconfigured}


async def test_relaying_withdrawn_is_found_out_where_no_domain_comes_twice(
    later: Callable[[], None],
) -> None:
    async with Relay() as relay, channel_to(relay, connections=20) as channel:
        await channel.send(mail())
        relay.on_mail = _deny_everybody

        outcomes = await _send_all(channel, [f"u@d{number}.example" for number in range(400)])

        assert Counter(map(type, outcomes))[Rejected] <= 120
        later()
        with pytest.raises(Misconfigured):
            await channel.send(mail())


@pytest.mark.parametrize("connections", [1, 10])
async def test_a_domain_that_the_relay_never_took_says_little_of_us(connections: int) -> None:
    async with Relay() as relay, channel_to(relay, connections=connections) as channel:
        relay.mailboxes[BAD] = DENIED
        await _send_all(channel, [GOOD] * connections)

        assert {type(outcome) for outcome in await _send_all(channel, [BAD] * 40)} == {Rejected}


@pytest.mark.parametrize("bad", [BAD, "bert@example.org"])
@pytest.mark.parametrize("connections", [1, 20])
@pytest.mark.parametrize("between", [5, 300])
async def test_unrelayable_recipients_among_good_ones_are_rejected_over_renewed_connections(
    connections: int, between: int, bad: str
) -> None:
    """No run of them opens a circuit; what is put off in doubt is rejected when it is tried again."""
    async with Relay() as relay, channel_to(relay, connections=connections) as channel:
        relay.mailboxes[bad] = DENIED
        await channel.send(mail())
        mixed = ([bad] * between + [GOOD]) * (300 // between)

        outcomes = await _send_all(channel, mixed)

        of_good = {
            type(outcome) for outcome, whom in zip(outcomes, mixed, strict=True) if whom == GOOD
        }
        of_bad = Counter(
            type(outcome) for outcome, whom in zip(outcomes, mixed, strict=True) if whom == bad
        )
        assert of_good == {Sent}
        assert set(of_bad) <= {Rejected, Deferred}
        assert relay.opened > 20
        deferred = of_bad[Deferred]
        again = await _send_all(channel, [GOOD, bad] * deferred)
        assert [type(outcome) for outcome in again[1::2]].count(Rejected) >= 0.9 * deferred


async def test_a_refusal_for_its_own_sake_shows_that_the_relay_passes_mail_on() -> None:
    async with Relay() as relay, channel_to(relay) as channel:
        relay.mailboxes |= {BAD: DENIED, "ghost@example.org": "550 5.1.1 no such user"}
        assert [
            type(outcome) for outcome in await _send_all(channel, [BAD, "ghost@example.org", BAD])
        ] == [
            Misconfigured,
            Rejected,
            Rejected,
        ]
