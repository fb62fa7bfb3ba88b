"""What a name can tell a sink to do."""

import asyncio
import re
from pathlib import Path

import pytest

from tidings_local.sinks.box import Box
from tidings_local.sinks.script import Behaviour, Script, Scripts, read_script
from tidings_local.sinks.sms import CODES, NUMBERS

README = Path(__file__).parents[3] / "README.md"


@pytest.mark.parametrize(
    ("word", "script"),
    [
        ("fail-once", Script(Behaviour.FAIL, 1)),
        ("Fail-Twice", Script(Behaviour.FAIL, 2)),
        ("fail", Script(Behaviour.FAIL, None)),
        ("reject-once", Script(Behaviour.REJECT, 1)),
        ("greylist", Script(Behaviour.GREYLIST, 1)),
        ("greylist-3", Script(Behaviour.GREYLIST, 3)),
        ("greylist-always", Script(Behaviour.GREYLIST, None)),
        ("throttle", Script(Behaviour.THROTTLE, 1)),
        ("hang", Script(Behaviour.HANG, None)),
        ("drop-1", Script(Behaviour.DROP, 1)),
    ],
)
def test_a_word_says_what_and_how_often(word: str, script: Script) -> None:
    assert read_script(word) == script


@pytest.mark.parametrize(
    "word", ["", "anna", "failure", "fail-", "fail-often", "accept", "rejects"]
)
def test_an_ordinary_name_says_nothing(word: str) -> None:
    assert read_script(word) is None


def test_after_so_many_tries_messages_are_taken() -> None:
    scripts = Scripts()
    did = [scripts.next("a@example.com", "fail-2") for _ in range(4)]
    assert did == [Behaviour.FAIL, Behaviour.FAIL, Behaviour.ACCEPT, Behaviour.ACCEPT]


def test_each_recipient_is_counted_alone() -> None:
    scripts = Scripts()
    assert scripts.next("a@example.com", "fail-once") is Behaviour.FAIL
    assert scripts.next("b@example.com", "fail-once") is Behaviour.FAIL
    assert scripts.next("a@example.com", "fail-once") is Behaviour.ACCEPT


def test_what_a_test_tells_wins_over_the_name_and_starts_to_count_anew() -> None:
    scripts = Scripts()
    assert scripts.next("fail@example.com", "fail") is Behaviour.FAIL
    scripts.tell("fail@example.com", Behaviour.REJECT, times=1)
    assert scripts.next("fail@example.com", "fail") is Behaviour.REJECT
    assert scripts.next("fail@example.com", "fail") is Behaviour.ACCEPT


def test_the_readme_lists_each_word_and_number_with_what_it_does() -> None:
    listed = README.read_text("utf-8").partition("### Addresses that fail")[2].partition("## ")[0]
    often = {1: "once", None: "always"}
    words = {
        (script.behaviour.value, often[script.times])
        for script in map(read_script, set(Behaviour))
        if script is not None
    }
    assert words == set(re.findall(r"^\| `([a-z]+)` .* (\w+) \|$", listed, re.M))
    assert dict(re.findall(r"^\| `(\d{4})` .*\(`([a-z-]+)`\)", listed, re.M)) == NUMBERS
    (codes,) = re.findall(r"^\| ((?:`\d{4}` ){2,})", listed, re.M)
    assert set(CODES) == set(re.findall(r"\d{4}", codes))


async def test_a_box_wakes_who_waits_for_the_right_thing() -> None:
    box: Box[int] = Box()
    waiting = asyncio.create_task(box.wait_for(2, where=lambda number: number > 10))
    for number in (1, 11, 2, 12):
        await asyncio.sleep(0)
        assert not waiting.done()
        box.add(number)
    assert await waiting == [11, 12]


async def test_a_box_says_how_many_came_when_too_few_did() -> None:
    box: Box[int] = Box()
    box.add(1)
    with pytest.raises(TimeoutError, match=r"1 of 2 came within 0\.01s, and 1 in all"):
        await box.wait_for(2, timeout=0.01)


async def test_a_full_box_forgets_the_oldest_and_numbers_go_on() -> None:
    box: Box[str] = Box(limit=2)
    for item in "abc":
        box.add(item)
    assert box.numbered() == [(2, "b"), (3, "c")]
    assert (box.find(1), box.find(3), box.received) == (None, "c", 3)
