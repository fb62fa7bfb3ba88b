"""What has to be true when everything is at rest, whatever went wrong on the way.

C  every confirmed notification is in exactly one terminal state, its dead letter is dead-lettered where it has
   to have one, and no queue holds anything
F  nothing was confirmed that is not there
D  what was sent is recorded, and sent twice only if the outcome was unknown; never under at_most_once
P  attempts are within the policy, states move along the table (that it came to rest at all is seen
   by the loop)
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Final
from uuid import UUID

from tests.doubles.memory_tables import Move
from tests.simulation.provider import Sending
from tests.simulation.scenario import ANSWERS, Reply
from tests.simulation.world import World

from tidings.broker.dead_letter_headers import dead_letter_id
from tidings.delivery.archiving import REPLAYABLE
from tidings.delivery.outcome import Reason
from tidings.delivery.retry_policy import Guarantee
from tidings.delivery.states import FINISHED, State, may_become

BEGINNINGS: Final = frozenset({State.QUEUED, State.SCHEDULED})
OPEN: Final = frozenset({"open", "replaying", "replayed"})

Life = tuple[UUID, int]
"""A notification in one epoch."""


def violations(world: World) -> list[str]:
    """Everything that must not be, in words."""
    checks = (
        _conserved,
        _moved,
        _leased,
        _archived,
        _counted,
        _sent,
        _genuine,
        _copies,
        _repeated,
        _timely,
        _spared,
        _behaved,
    )
    return [violation for check in checks for violation in check(world)]


def _conserved(world: World) -> Iterator[str]:
    """C and F."""
    rows = world.tables.notifications
    for order in world.scenario.orders:
        if order in world.confirmed and order.id not in rows:
            yield f"F: {_short(order.id)} was confirmed and is nowhere"
    for id, row in rows.items():
        if State(row["state"]) not in FINISHED:
            yield f"C: {_short(id)} is left {row['state']}"
    for name, queue in world.broker.queues.items():
        if queue.size:
            yield f"C: {name} holds {queue.size} messages"


def _moved(world: World) -> Iterator[str]:
    """Along the table, and to one end in each epoch."""
    ends: Counter[Life] = Counter()
    for move in world.tables.moves:
        if not _allowed(move):
            yield f"P: {_short(move.id)} moved from {move.before} to {move.after}"
        if move.after in FINISHED and (move.before is None or move.before not in FINISHED):
            ends[move.id, move.epoch] += 1
    for (id, epoch), count in ends.items():
        if count != 1:
            yield f"C: {_short(id)} ended {count} times in epoch {epoch}"


def _allowed(move: Move) -> bool:
    if move.before is not None:
        return may_become(move.before, move.after)
    return move.after in BEGINNINGS or any(may_become(state, move.after) for state in BEGINNINGS)


def _leased(world: World) -> Iterator[str]:
    """A claim holds until its lease expires."""
    last: dict[UUID, Move] = {}
    for move in world.tables.moves:
        held = last.get(move.id)
        early = held is not None and (held.row["lease_until"] or move.at) >= move.at
        if held is not None and early and _claimed_by_another(move, held):
            yield f"D: {_short(move.id)} was taken from {held.row['lease_holder'].split('/')[0]} under its lease"
        if held is not None and _ended(move, held):
            yield from _recorded_by_another(world, held)
        last[move.id] = move


def _ended(move: Move, held: Move) -> bool:
    """Whether a claim ended in a result; a released claim spends no attempt."""
    same = move.row["attempt"] == held.row["attempt"]
    return bool(same and held.after is State.SENDING and move.after is not State.SENDING)


def _recorded_by_another(world: World, held: Move) -> Iterator[str]:
    """The attempt that ended a claim was made by its holder."""
    tried = world.tables.attempts.get((held.id, held.epoch, held.row["attempt"]))
    if tried is not None and tried["worker"] != held.row["lease_holder"]:
        yield f"D: attempt {tried['attempt']} of {_short(held.id)} was recorded under another's lease"


def _archived(world: World) -> Iterator[str]:
    """Who failed has one dead letter, and nobody else has an open one."""
    ends = _last(world)
    dead_letters = world.tables.dead_letters
    for (id, epoch), end in ends.items():
        state, dead_letter = end.after, dead_letters.get(dead_letter_id(id, epoch))
        if _wants_dead_letter(end) and (dead_letter is None or dead_letter["state"] not in OPEN):
            yield f"C: {_short(id)} is {state} in epoch {epoch} and has no dead letter"
    for dead_letter in dead_letters.values():
        life = (dead_letter["notification_id"], dead_letter["epoch"])
        ended = ends.get(life)
        if dead_letter["state"] in OPEN and not (ended and _wants_dead_letter(ended)):
            yield f"C: {_short(life[0])} has a dead letter and is {ended and ended.after} in epoch {life[1]}"


def _wants_dead_letter(end: Move) -> bool:
    """Whether an operator has to decide on it, or on a copy."""
    return end.after in REPLAYABLE or end.row["reason"] == Reason.COPIES_REFUSED


def _last(world: World) -> dict[Life, Move]:
    return {(move.id, move.epoch): move for move in world.tables.moves if move.after in FINISHED}


def _counted(world: World) -> Iterator[str]:
    """Attempts within the policy; sends no more than attempts that were begun."""
    most = len(world.scenario.queue_delays) + 1
    for id, epoch, number in world.tables.attempts:
        if not 1 <= number <= most:
            yield f"P: attempt {number} of {_short(id)} in epoch {epoch}: the policy allows {most}"
    begun = Counter(
        (move.id, move.epoch) for move in world.tables.moves if move.after is State.SENDING
    )
    requested = Counter((sending.id, sending.epoch) for sending in world.provider.sendings)
    for life, count in requested.items():
        if count > begun[life]:
            yield f"D: {_short(life[0])} was sent {count} times and claimed {begun[life]} times"


def _spared(world: World) -> Iterator[str]:
    """A deferred recipient spends an attempt, and no circuit opens if only recipients are at fault."""
    for sending in world.provider.sendings:
        place = (sending.id, sending.epoch, sending.number)
        deferred = sending.reply is Reply.DEFERRED and sending.over and sending.process.alive
        if deferred and place not in world.tables.attempts:
            yield f"P: attempt {sending.number} of {_short(sending.id)} was deferred and is not spent"
    if world.tables.circuits and all(
        sending.reply in ANSWERS for sending in world.provider.sendings
    ):
        yield "P: a circuit opened though the provider answered everybody"


def _sent(world: World) -> Iterator[str]:
    """What is recorded as sent was sent, and what was sent for all to know is recorded."""
    took = {
        (sending.id, sending.epoch)
        for sending in world.provider.sendings
        if sending.took is not None
    }
    doubtful = {
        (sending.id, sending.epoch) for sending in world.provider.sendings if _unanswered(sending)
    }
    for life, end in _last(world).items():
        if end.after is State.SENT and life not in took and not _reached_before(world, life):
            yield f"D: {_short(life[0])} is sent in epoch {life[1]}, says the ledger; it was not"
        if end.after in {State.FAILED, State.EXPIRED} and life in took:
            yield f"D: {_short(life[0])} is {end.after} in epoch {life[1]}, says the ledger; it was sent"
        if life in doubtful and _denied(end):
            yield f"D: {_short(life[0])} is {end.after} in epoch {life[1]}, and may have been sent"
    for sending in world.provider.sendings:
        if sending.replied and sending.process.alive and not _known(world, sending):
            yield f"D: {sending.process} sent attempt {sending.number} of {_short(sending.id)}; nothing tells of it"


def _genuine(world: World) -> Iterator[str]:
    """The content sent is the ledger's, whatever is published under the same id."""
    for sending in world.provider.sendings:
        if sending.body != world.tables.notifications[sending.id]["body"]:
            yield f"D: {_short(sending.id)} was sent with other content than the ledger has"


def _unanswered(sending: Sending) -> bool:
    """Whether the outcome is unknown: no reply, or the sender died."""
    lost = sending.took is not None and not sending.replied
    return lost or sending.reply is Reply.NOTHING or not sending.over


def _denied(end: Move) -> bool:
    """Whether an end says that nothing can have arrived. One that a person made says so by its mark."""
    unmarked = not end.row["perhaps_sent"]
    return end.after in {State.FAILED, State.EXPIRED} or (
        end.after in {State.CANCELLED, State.DISCARDED} and unmarked
    )


def _reached_before(world: World, life: Life) -> bool:
    """Whether its recipient has it since an earlier epoch, and this one is for copies."""
    return any(
        place[:2] == life and (row["role"], row["attempt"]) == ("to", 0)
        for place, row in world.tables.results.items()
    )


def _copies(world: World) -> Iterator[str]:
    """What is recorded of each recipient is what became of it."""
    got = {
        (sending.id, address)
        for sending in world.provider.sendings
        if sending.took is not None
        for address in sending.reached
    }
    for (id, epoch, address), row in world.tables.results.items():
        if row["state"] == "sent" and (id, address) not in got:
            yield f"D: a recipient of {_short(id)} has it in epoch {epoch}, says the ledger; and has not"
        denied = row["state"] in {"refused", "given_up"}
        if denied and any(
            address in sending.reached and sending.took is not None
            for sending in world.provider.sendings
            if (sending.id, sending.epoch) == (id, epoch)
        ):
            yield f"D: a recipient of {_short(id)} has it not in epoch {epoch}, says the ledger; and has"
    yield from _requeued(world)


def _requeued(world: World) -> Iterator[str]:
    """A recipient known to have it gets no second one in the next epoch, unless forced."""
    for sending in world.provider.sendings:
        for address in sending.addressed:
            before = world.tables.results.get((sending.id, sending.epoch - 1, address))
            if before is not None and before["state"] == "sent":
                yield f"D: {_short(sending.id)} went out in epoch {sending.epoch} to a recipient who had it"


def _known(world: World, sending: Sending) -> bool:
    """Recorded by its sender, or noted if another worker had taken over."""
    tried = world.tables.attempts.get((sending.id, sending.epoch, sending.number))
    by = f"{sending.process.name}/"
    known = tried is not None and (tried["state"] == "sent" or tried["reference"] is not None)
    if tried is not None and known and tried["worker"].startswith(by):
        return True
    taken = sending.addressed == sending.reached
    phrases = (
        ("ended as sent after",) if taken else ("ended as sent after", "ended as retrying after")
    )
    noted = any(
        note.id == sending.id
        and note.actor.startswith(by)
        and any(each in note.reason for each in phrases)
        for note in world.tables.transitions
    )
    return noted and _lost(world, sending)


def _lost(world: World, sending: Sending) -> bool:
    """Whether its sender had lost the claim: to another claim, or to the archive, which ended it."""
    life = (sending.id, sending.epoch)
    moves = [move for move in world.tables.moves if (move.id, move.epoch) == life]
    return any(
        after.at > sending.began and (_claimed_by_another(after, before) or _given_up(after))
        for before, after in pairwise(moves)
    )


def _claimed_by_another(move: Move, held: Move) -> bool:
    claimed = held.after is State.SENDING and move.after is State.SENDING
    return bool(claimed and move.row["lease_holder"] != held.row["lease_holder"])


def _given_up(move: Move) -> bool:
    by_the_broker = move.row["failure_kind"] in {"broker_delivery_limit", "outcome_unknown"}
    return move.before is State.SENDING and by_the_broker


def _repeated(world: World) -> Iterator[str]:
    """Sent twice only if the outcome was unknown, marked so, and never under at_most_once."""
    lives: defaultdict[Life, list[Sending]] = defaultdict(list)
    for sending in world.provider.sendings:
        lives[sending.id, sending.epoch].append(sending)
    recorded = {
        (move.id, move.epoch): move.at
        for move in world.tables.moves
        if move.before is State.SENDING and move.after is State.SENT
    }
    for life, sendings in lives.items():
        got = Counter(
            each for sending in sendings if sending.took is not None for each in sending.reached
        )
        most = max(got.values(), default=0)
        if most > 1 and world.scenario.guarantee is Guarantee.AT_MOST_ONCE:
            yield f"D: {_short(life[0])} was sent {most} times in epoch {life[1]} under at_most_once"
        if most > 1 and not _admitted(world, life):
            yield f"D: {_short(life[0])} was sent {most} times in epoch {life[1]}, and nothing says so"
        if any(sending.began > recorded.get(life, sending.began) for sending in sendings):
            yield f"D: {_short(life[0])} was sent again in epoch {life[1]} after it was recorded as sent"


def _admitted(world: World, life: Life) -> bool:
    """Whether the record says that it may have been sent twice."""
    marked = any(
        row["possible_duplicate"] or row["kind"] == "outcome_unknown"
        for place, row in world.tables.attempts.items()
        if place[:2] == life
    )
    return marked or any(
        (note.id, note.epoch) == life and ("ran out" in note.reason or "had run out" in note.reason)
        for note in world.tables.transitions
    )


def _timely(world: World) -> Iterator[str]:
    """Not before it is due, not after it has expired, not after it was called off, one for each key."""
    began: defaultdict[UUID, list[datetime]] = defaultdict(list)
    for sending in world.provider.sendings:
        began[sending.id].append(sending.began)
    cancelled = {move.id: move.at for move in world.tables.moves if move.after is State.CANCELLED}
    for order in world.scenario.orders:
        for at in began.get(order.id, ()):
            if order.due is not None and at < order.due:
                yield f"P: {_short(order.id)} was sent before it was due"
            if order.expires_at is not None and at >= order.expires_at:
                yield f"P: {_short(order.id)} was sent after it had expired"
            if at > cancelled.get(order.id, at):
                yield f"D: {_short(order.id)} was sent after it had been called off"
    keyed = {order.id for order in world.scenario.orders if order.key is not None}
    took = {sending.id for sending in world.provider.sendings if sending.took is not None}
    if len(keyed & took) > 1:  # one that was never sent leaves its key to the next
        yield "D: two notifications with the same idempotency key were sent"


def _behaved(world: World) -> Iterator[str]:
    """No process violated the broker's protocol, or crashed by its own fault."""
    for fault in (*world.network.misuses, *world.crashed, *world.loop.faults):
        yield f"P: {fault}"


def _short(id: UUID | None) -> str:
    return str(id)[:5]
