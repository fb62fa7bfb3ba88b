"""What has to be true when everything is at rest, whatever went wrong on the way.

C  every confirmed notification is in exactly one terminal state, its letter is buried where it has
   to have one, and no queue holds anything
F  nothing was confirmed that is not there
D  what was sent is recorded, and sent twice only where nobody could know; never under at_most_once
P  attempts are within the policy, states move along the table (that it came to rest at all is seen
   by the loop)
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Final
from uuid import UUID

from tidings.broker.burial import letter_id
from tidings.delivery.burying import REPLAYABLE
from tidings.delivery.retry_policy import Guarantee
from tidings.delivery.states import FINISHED, State, may_become
from tidings.testing.memory_tables import Move
from tidings.testing.simulation.provider import Sending
from tidings.testing.simulation.world import World

BEGINNINGS: Final = frozenset({State.QUEUED, State.SCHEDULED})
OPEN: Final = frozenset({"buried", "replaying", "replayed"})

Life = tuple[UUID, int]
"""A notification in one epoch."""


def violations(world: World) -> list[str]:
    """Everything that must not be, in words."""
    checks = (_conserved, _moved, _leased, _buried, _counted, _sent, _repeated, _timely, _behaved)
    return [said for check in checks for said in check(world)]


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
    return move.after in BEGINNINGS or any(may_become(one, move.after) for one in BEGINNINGS)


def _leased(world: World) -> Iterator[str]:
    """Whoever holds a notification holds it until the lease is over."""
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
    """Whether a claim ended in a result; one that is given back takes its attempt back."""
    same = move.row["attempt"] == held.row["attempt"]
    return bool(same and held.after is State.SENDING and move.after is not State.SENDING)


def _recorded_by_another(world: World, held: Move) -> Iterator[str]:
    """The attempt that ended a claim was made by whoever had it."""
    tried = world.tables.attempts.get((held.id, held.epoch, held.row["attempt"]))
    if tried is not None and tried["worker"] != held.row["lease_holder"]:
        yield f"D: attempt {tried['attempt']} of {_short(held.id)} was recorded under another's lease"


def _buried(world: World) -> Iterator[str]:
    """Who failed has one letter, and nobody else has an open one."""
    last = _ends(world)
    letters = world.tables.letters
    for (id, epoch), state in last.items():
        letter = letters.get(letter_id(id, epoch))
        if state in REPLAYABLE and (letter is None or letter["state"] not in OPEN):
            yield f"C: {_short(id)} is {state} in epoch {epoch} and has no dead letter"
    for letter in letters.values():
        life = (letter["notification_id"], letter["epoch"])
        if letter["state"] in OPEN and last.get(life) not in REPLAYABLE:
            yield f"C: {_short(life[0])} has a dead letter and is {last.get(life)} in epoch {life[1]}"


def _ends(world: World) -> dict[Life, State]:
    return {
        (move.id, move.epoch): move.after for move in world.tables.moves if move.after in FINISHED
    }


def _counted(world: World) -> Iterator[str]:
    """Attempts within the policy; sends no more than attempts that were begun."""
    most = len(world.scenario.tiers) + 1
    for id, epoch, number in world.tables.attempts:
        if not 1 <= number <= most:
            yield f"P: attempt {number} of {_short(id)} in epoch {epoch}: the policy allows {most}"
    begun = Counter(
        (move.id, move.epoch) for move in world.tables.moves if move.after is State.SENDING
    )
    asked = Counter((one.id, one.epoch) for one in world.provider.sendings)
    for life, count in asked.items():
        if count > begun[life]:
            yield f"D: {_short(life[0])} was sent {count} times and claimed {begun[life]} times"


def _sent(world: World) -> Iterator[str]:
    """What is recorded as sent was sent, and what was sent for all to know is recorded."""
    took = {(one.id, one.epoch) for one in world.provider.sendings if one.took is not None}
    for life, state in _ends(world).items():
        if state is State.SENT and life not in took:
            yield f"D: {_short(life[0])} is sent in epoch {life[1]}, says the ledger; it was not"
    for one in world.provider.sendings:
        if one.told and one.process.alive and not _known(world, one):
            yield f"D: {one.process} sent attempt {one.number} of {_short(one.id)}; nothing tells of it"


def _known(world: World, sending: Sending) -> bool:
    """Recorded by whoever sent it, or noted where another had taken over."""
    tried = world.tables.attempts.get((sending.id, sending.epoch, sending.number))
    by = f"{sending.process.name}/"
    if tried is not None and tried["state"] == "sent" and tried["worker"].startswith(by):
        return True
    noted = any(
        note.id == sending.id and note.actor.startswith(by) and "ended as sent after" in note.reason
        for note in world.tables.transitions
    )
    return noted and _lost(world, sending)


def _lost(world: World, sending: Sending) -> bool:
    """Whether it was taken from whoever sent: by another claim, or by the archive, which gave it up."""
    life = (sending.id, sending.epoch)
    moves = [one for one in world.tables.moves if (one.id, one.epoch) == life]
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
    """Sent twice only where nobody could know, said so, and never under at_most_once."""
    lives: defaultdict[Life, list[Sending]] = defaultdict(list)
    for one in world.provider.sendings:
        lives[one.id, one.epoch].append(one)
    recorded = {
        (move.id, move.epoch): move.at
        for move in world.tables.moves
        if move.before is State.SENDING and move.after is State.SENT
    }
    for life, sendings in lives.items():
        took = [one for one in sendings if one.took is not None]
        if len(took) > 1 and world.scenario.guarantee is Guarantee.AT_MOST_ONCE:
            yield f"D: {_short(life[0])} was sent {len(took)} times in epoch {life[1]} under at_most_once"
        if len(took) > 1 and not _admitted(world, life):
            yield f"D: {_short(life[0])} was sent {len(took)} times in epoch {life[1]}, and nothing says so"
        if any(one.began > recorded.get(life, one.began) for one in sendings):
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
    for one in world.provider.sendings:
        began[one.id].append(one.began)
    cancelled = {one.id: one.at for one in world.tables.moves if one.after is State.CANCELLED}
    for order in world.scenario.orders:
        for at in began.get(order.id, ()):
            if order.due is not None and at < order.due:
                yield f"P: {_short(order.id)} was sent before it was due"
            if order.expires_at is not None and at >= order.expires_at:
                yield f"P: {_short(order.id)} was sent after it had expired"
            if at > cancelled.get(order.id, at):
                yield f"D: {_short(order.id)} was sent after it had been called off"
    keyed = {order.id for order in world.scenario.orders if order.key is not None}
    if len(keyed & set(began)) > 1:
        yield "D: two notifications with the same idempotency key were sent"


def _behaved(world: World) -> Iterator[str]:
    """Nobody broke the broker's rules, or died of something of their own."""
    for said in (*world.network.misuses, *world.crashed, *world.loop.faults):
        yield f"P: {said}"


def _short(id: UUID | None) -> str:
    return str(id)[:5]
