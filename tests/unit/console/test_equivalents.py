"""Commands beside buttons, as a shell takes them."""

import shlex

from tidings.console.equivalents import command


def test_whatever_a_value_has_in_it_stays_one_argument() -> None:
    for value in ("it's", 'a "b" $(rm -rf ~) `x`', "two\nlines", "-rf", "--all", "ü; exit"):
        words = shlex.split(command("dead", "note", "1f0c", note=value))
        assert words[:4] == ["tidings", "dead", "note", "1f0c"]
        assert " ".join(words[4:]).removeprefix("--note")[1:] == value
        assert len(words) == (5 if value.startswith("-") else 6)


def test_an_option_is_left_out_a_flag_or_repeated() -> None:
    shown = command("jobs", "list", state=["running", "paused"], test=True, all=False, to=None)
    assert shown == "tidings jobs list --state running --state paused --test"
