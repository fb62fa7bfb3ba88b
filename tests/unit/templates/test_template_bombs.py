"""Templates that would take all day or all memory end at once, and with the right error."""

import resource
import time
from pathlib import Path

import pytest

from tidings.templates import TemplateError, Templates, TemplateTooExpensive

_USED = Path("/proc/self/statm")
_NS = "{% set ns = namespace(x=START) %}{% for i in range(100) %}{% set ns.x = STEP %}{% endfor %}"


def growing(start: str, step: str) -> str:
    return _NS.replace("START", start).replace("STEP", step)


DEAR = {
    "a loop in a loop": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "a range without end": "{% for i in range(10**9) %}x{% endfor %}",
    "a range no machine has": "{{ range(10**30) | length }}",
    "a loop that skips": "{% for j in range(9999) %}{% for i in range(99999) if false %}{% endfor %}{% endfor %}",
    "text repeated": "{{ 'a' * 10**9 }}",
    "text repeated, turned round": "{{ 10**9 * 'a' }}",
    "a list repeated": "{{ ([1] * 10**9) | length }}",
    "an empty list repeated": "{{ ([] * 10**9) | length }}",
    "a refund by repeating less than nothing": "{% for i in range(999) %}{% set x = 'a' * -10**9 %}{% endfor %}{{ 'a' * 10**8 }}",
    "a power": "{{ 9 ** 9999 ** 2 }}",
    "a square of squares": growing("2", "ns.x * ns.x"),
    "center": "{{ 'a' | center(10**9) }}",
    "center, the method": "{{ 'a'.center(10**9) }}",
    "zfill": "{{ 'a'.zfill(10**9) }}",
    "ljust": "{{ 'a'.ljust(10**9, 'b') }}",
    "indent by a number": "{{ ('\n' * 99999) | indent(99999) }}",
    "indent by text": "{{ ('\n' * 99999) | indent('x' * 99999) }}",
    "replace": "{{ ('a' * 99999) | replace('a', 'b' * 99999) }}",
    "replace nothing": "{{ ('a' * 99999) | replace('', 'b' * 99999) }}",
    "replace, the method": "{{ ('a' * 99999).replace('a', 'b' * 99999) }}",
    "join": "{{ range(99999) | join('x' * 99999) }}",
    "join of long ones": "{{ (['x' * 999999] * 999) | join }}",
    "join of lazy ones": "{% set b = 'x' * 999999 %}{{ range(99999) | map('replace', '1', b) | join }}",
    "batch": "{{ [1] | batch(10**9, 'x') | list | length }}",
    "slice": "{{ [1] | slice(10**9) | list | length }}",
    "format by name": "{{ ('%(a)s' * 99999) | format(a='x' * 99999) }}",
    "text that doubles": growing("'aaaaaaaa'", "ns.x ~ ns.x"),
    "text that doubles by +": growing("'aaaaaaaa'", "ns.x + ns.x"),
    "text that doubles in blocks": "{% set ns = namespace(x='aaaa') %}{% for i in range(99) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    "a list that doubles": growing("[1]", "ns.x + ns.x"),
    "lists of the same lists": growing("[1]", "[ns.x, ns.x]"),
    "tuples of the same tuples": growing("(1,)", "(ns.x, ns.x)"),
    "objects of the same objects": growing("1", "{'a': ns.x, 'b': ns.x}"),
    "objects of the same objects, called": growing("1", "dict(a=ns.x, b=ns.x)"),
    "a macro that calls itself": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "a macro that calls itself twice": "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(60) }}",
    "a file that includes itself": "{% include 'bomb/default/sms.j2' %}",
    "a file that includes itself twice": "{% set d = d | default(40) - 1 %}{% if d %}{% include 'bomb/default/sms.j2' %}{% include 'bomb/default/sms.j2' %}{% endif %}",
    "a file that extends itself": "{% extends 'bomb/default/sms.j2' %}",
    "a loop into itself": "{% for i in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "a tree of loops": "{% for i in range(2) recursive %}{% if loop.depth < 60 %}{{ loop(range(2)) }}{% endif %}{% endfor %}",
    "long text in a loop": "{% for i in range(99999) %}" + "x" * 9999 + "{% endfor %}",
    "long text in a macro": "{% macro m() %}{% for i in range(99999) %}" + "x" * 9999 + "{% endfor %}{% endmacro %}{% set x = m() %}",
    "long text in a block": "{% block b %}" + "x" * 9999 + "{% endblock %}{% for i in range(99999) %}{% set x = self.b() %}{% endfor %}",
    "long text in a call": "{% macro m() %}{% for i in range(99999) %}{% set x = caller() %}{% endfor %}{% endmacro %}{% call m() %}" + "x" * 9999 + "{% endcall %}",
    "looking through a list": "{% set l = range(99999) | list %}{% for i in range(9999) %}{% if -1 in l %}{% endif %}{% endfor %}",
    "looking through a text": "{% set l = 'a' * 999999 %}{% for i in range(99999) %}{% if 'b' in l %}{% endif %}{% endfor %}",
    "looking through a list, the test": "{% set l = range(99999) | list %}{% for i in range(9999) %}{% if -1 is in(l) %}{% endif %}{% endfor %}",
    "counting in a text": "{% set l = 'a ' * 999999 %}{% for i in range(99999) %}{% set y = l.count('b') %}{% endfor %}",
    "copies of a text": "{% set l = 'a' * 999999 %}{% for i in range(99999) %}{% set y = l[1:] %}{% endfor %}",
    "upper": "{% set l = 'a' * 999999 %}{% for i in range(99999) %}{% set y = l | upper %}{% endfor %}",
    "sort": "{% set l = range(99999) | list %}{% for i in range(9999) %}{% set y = l | sort %}{% endfor %}",
    "max": "{% set l = range(99999) | list %}{% for i in range(9999) %}{% set y = l | max %}{% endfor %}",
    "select": "{% for i in range(9999) %}{% set x = range(99999) | select('none') | list %}{% endfor %}",
    "select by nothing": "{% set l = [0] * 99999 %}{% for i in range(9999) %}{% set x = l | select | list %}{% endfor %}",
    "a chain of maps": growing("range(10)", "ns.x | map('string')") + "{% set ns.x = ns.x | list %}" * 0 + "{% for i in range(9999) %}{% set ns.x = ns.x | map('string') %}{% endfor %}{{ ns.x | list | length }}",
    "loop.changed": "{% set l = 'a' * 999999 %}{% for i in range(99999) %}{% if loop.changed(l ~ '') %}{% endif %}{% endfor %}",
    "loop.length": "{% for i in range(99999) | map('string') %}{% for j in range(99999) | map('string') %}{{ loop.length }}{% endfor %}{% endfor %}",
    "a macro with many arguments": "{% macro m() %}{{ varargs | length }}{% endmacro %}{% set l = range(9999) | list %}{% for i in range(9999) %}{{ m(*l) }}{% endfor %}",
    "a call with many arguments": "{% set l = range(9999) | list %}{% for i in range(9999) %}{% set c = cycler(*l) %}{% endfor %}",
    "json of a list of the same": "{{ ([['x' * 9999] * 999] * 999) | tojson }}",
    "percent": "{% set l = '/' * 999999 %}{% for i in range(9999) %}{% set x = l | urlencode %}{% endfor %}",
    "brackets within brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "minus of minus": "{{ " + "-" * 5000 + "1 }}",
    "a page of ifs": "{% if 1 %}" * 300 + "{% endif %}" * 300,
}  # fmt: skip

REFUSED = {
    "a wide field": "{{ '%1000000000d' | format(1) }}",
    "a field as wide as asked": "{{ '%*d' | format(10**8, 1) }}",
    "many decimals": "{{ '%.1000000000f' | format(1) }}",
    "a wide field by %": "{{ '%1000000000d' % 1 }}",
    "a wide field by format()": "{{ '{:1000000000}'.format(1) }}",
    "a wide year": "{{ '2026-01-01' | date('%1000000000Y') }}",
    "a number with a long tail": "{{ '1e999999999' | number }}",
    "deep json": "{{ range(9999) | list | tojson(indent=99999) }}",
    "a sum of lists": "{{ range(9999) | map('list') | sum(start=[]) }}",
    "round": "{{ 1.5 | round(10**8) }}",
    "long nonsense": "{{ lipsum(n=10**8) }}",
    "bytes": "{{ (5).to_bytes(10**9, 'big') }}",
    "a refund by name": "{% set x = [-10**9] | map('=tick') | list %}{{ 'a' * 10**8 }}",
}


@pytest.fixture
def memory():
    """A gigabyte more than now: a bomb that goes off fails its test, not the machine."""
    if not _USED.exists():
        yield  # Not Linux: the time limit has to do.
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(_USED.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def detonate(templates: Templates) -> None:
    started = time.process_time()
    try:
        templates.render("bomb", None, {}, required=("sms",))
    finally:
        assert time.process_time() - started < 5


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("bomb", DEAR)
def test_it_is_too_expensive(make, bomb):
    with pytest.raises(TemplateTooExpensive):
        detonate(make({"bomb/default/sms.j2": DEAR[bomb]}))


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("bomb", REFUSED)
def test_it_is_refused(make, bomb):
    with pytest.raises(TemplateError) as caught:
        detonate(make({"bomb/default/sms.j2": REFUSED[bomb]}))

    assert not isinstance(caught.value, TemplateTooExpensive)


def test_a_large_but_honest_message_is_written(make):
    """A statement of 500 lines, each with a filter or two and a look at a list of 500."""
    source = (
        "{% for line in lines %}{{ loop.index }}/{{ lines | length }} {{ line.name | upper }} "
        "{{ line.price | number(2) }}{% if line.id in marked %}*{% endif %}\n{% endfor %}"
    )
    lines = [{"id": n, "name": f"Item {n}", "price": "12.5"} for n in range(500)]
    templates = make({"bomb/default/text.j2": source})

    written = templates.render(
        "bomb", None, {"lines": lines, "marked": list(range(500))}, required=("text",)
    )

    assert written["text"].splitlines()[-1] == "500/500 ITEM 499 12.50*"


def test_data_that_is_a_bomb_is_paid_for_too(make):
    templates = make(
        {"bomb/default/sms.j2": "{% for a in d %}{% for b in d %}{% endfor %}{% endfor %}"}
    )

    with pytest.raises(TemplateTooExpensive):
        templates.render("bomb", None, {"d": list(range(5000))}, required=("sms",))
    deep: list[object] = []
    for _ in range(50_000):
        deep = [deep]
    with pytest.raises(TemplateError):
        make({"b/default/sms.j2": "{{ d | tojson }}"}).render(
            "b", None, {"d": deep}, required=("sms",)
        )


def test_the_same_template_fails_alike_every_time(make):
    templates = make(
        {"bomb/default/sms.j2": "{% for i in range(n) %}{{ i }}{% endfor %}"}, steps=2000
    )

    def fits(n: int) -> bool:
        try:
            return bool(templates.render("bomb", None, {"n": n}, required=("sms",)))
        except TemplateTooExpensive:
            return False

    most = max(n for n in range(1, 1000) if fits(n))
    assert all(fits(most) and not fits(most + 1) for _ in range(20))
