from contextlib import suppress
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.templates import TemplateFailed, Templates
from tidings.templates.formats import date, link, number
from tidings.templates.values import TemplateMisuse

NOON = "2026-11-02T12:05:09+00:00"


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        ("2026-11-02", "%d/%m/%Y", "02/11/2026"),
        ("2026-11-02", "%-d.%-m.%y", "2.11.26"),
        ("2026-11-02T12:05:09Z", "%H:%M:%S %z", "12:05:09 +00:00"),
        (NOON, "%I:%M %p", "12:05 PM"),
        ("2026-11-02T00:05:00", "%-I:%M %p, %-H", "12:05 AM, 0"),
        ("2026-11-02T12:05:09.123456", "100%% %S", "100% 09"),
        ("2026-11-02", "", ""),
    ],
)
def test_dates_are_printed_as_asked(value, form, text):
    assert date(value, form) == text


def test_a_date_is_iso_unless_asked_otherwise():
    assert date(NOON) == "2026-11-02"


def test_dates_move_to_the_reader_s_time_zone_with_its_summer_time():
    assert date(NOON, "%d %H:%M %z", tz="America/Sao_Paulo") == "02 09:05 -03:00"
    assert date("2026-07-02T23:30:00Z", "%d %H:%M", tz="Europe/Paris") == "03 01:30"
    assert date("2026-12-02T23:30:00Z", "%d %H:%M %Z", tz="Europe/Paris") == "03 00:30 CET"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 'tomorrow' | date }}", "not ISO 8601"),
        ("{{ 20261102 | date }}", "takes ISO 8601 text, not a int"),
        ("{{ '2026-11-02' | date('%B') }}", "%d %-d %m"),
        ("{{ '2026-11-02' | date(tz='Europe/Paris') }}", "no offset"),
        ("{{ '2026-11-02T00:00:00Z' | date(tz='Europe/Atlantis') }}", "no such time zone"),
        ("{{ '2026-11-02T00:00:00Z' | date(tz='../../etc/passwd') }}", "no such time zone"),
        ("{{ '0001-01-01T00:00:00Z' | date(tz='America/Lima') }}", "out of range"),
        ("{{ '2026-11-02' | date('x' * 101) }}", "more than 100 characters"),
        ("{{ '2026-11-02' | date_part('fortnight') }}", "unknown part; use year, month, day"),
        ("{{ 'dear' | number }}", "not a number"),
        ("{{ true | number }}", "not a bool"),
        ("{{ 'NaN' | number }}", "digits"),
        ("{{ '1e50' | number }}", "more than 40 digits"),
        ("{{ 1 | number(13) }}", "between 0 and 12"),
        ("{{ 'javascript:alert(1)' | link }}", "does not start with https"),
        ("{{ '//evil.example' | link }}", "does not start with https"),
        ("{{ 'https://a b' | link }}", "percent-encode"),
        ("{{ [1] | sum(start=[]) }}", "adds numbers"),
        ("{{ 'abc' | truncate(2, true, '...') }}", "less than that of its end"),
    ],
)
def test_what_a_filter_can_not_take_is_told(render, source, words):
    with pytest.raises(TemplateFailed) as caught:
        render(source)

    assert words in str(caught.value)


def test_parts_of_a_date_choose_words_in_any_language(render):
    source = (
        "{% set months = 'janeiro fevereiro março'.split() %}"
        "{{ at | date('%-d') }} de {{ months[at | date_part('month') - 1] }}, "
        "{{ at | date_part('weekday', tz='America/Sao_Paulo') }}"
    )

    assert render(source, at="2026-03-01T01:00:00Z") == "1 de março, 6"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 1234567.5 | number }}", "1,234,568"),
        ("{{ '1234.5' | number(2) }}", "1,234.50"),
        ("{{ '1234.5' | number(2, '.', ',') }}", "1.234,50"),
        ("{{ '1234.5' | number(2, ' ', ',') }}", "1 234,50"),
        ("{{ 0.005 | number(2) }} {{ -0.005 | number(2) }}", "0.01 -0.01"),
        ("{{ -0.001 | number(2) }}", "0.00"),
        ("{{ 0.1 + 0.2 }} {{ (0.1 + 0.2) | number(2) }}", "0.30000000000000004 0.30"),
        ("{{ 'HTTPS://a.example/?q=1&r=%20' | link }}", "HTTPS://a.example/?q=1&r=%20"),
        ("{{ ' mailto:a@b.example ' | link }}", "mailto:a@b.example"),
        ("{{ 'one two three' | truncate(8) }}", "one…"),
        ("{{ 'one two three' | truncate(8, true) }}", "one two…"),
        ("{{ 'exactly8' | truncate(8) }}", "exactly8"),
        ("{{ nothing | default('x') }}{{ null | default('y') }}{{ '' | default('z', true) }}", "xyz"),
        ("{{ '' | default('z') }}{{ 0 | d(1) }}", "0"),
        ("{{ 'a b c d' | wordwrap(3) | indent(2) }}", "a b\n  c d"),
        ("{{ [{'a': 1}, {'a': 2}] | join('-', 'a') }}", "1-2"),
        ("{{ [1, 2] | sum }}{{ [{'a': 1}, {'a': 2}] | sum('a') }}", "33"),
        ("{{ '%05.1f' | format(3.14159) }} {{ '%(n)s' | format(n='x') }}", "003.1 x"),
        ("{{ 7.25 | round(1) }} {{ 7.25 | round(0, 'floor') | int }}", "7.2 7"),
        ("{{ 'a b/c' | urlencode }} {{ 2048 | filesizeformat(true) }}", "a%20b/c 2.0 KiB"),
        ("{{ {'b': [1]} | tojson(2) }}", '{\n  "b": [\n    1\n  ]\n}'),
        ("{{ null | tojson }}", "null"),
    ],
)  # fmt: skip
def test_filters_do_what_they_are_for(render, source, text):
    assert render(source, null=None) == text


@given(
    value=st.decimals(-(10**15), 10**15, allow_nan=False, places=6),
    decimals=st.integers(0, 12),
    thousands=st.sampled_from([",", ".", " ", "", "'"]),
)
def test_a_number_loses_nothing_but_the_decimals_cut(value, decimals, thousands):
    text = number(str(value), decimals, thousands, "#")

    assert Decimal(text.replace(thousands, "").replace("#", ".")) == value.quantize(
        Decimal(1).scaleb(-decimals), ROUND_HALF_UP
    )
    assert len(text.partition("#")[2]) == decimals


@given(st.text())
def test_a_link_is_safe_in_an_attribute_or_refused(text):
    for address in (text, f"https://{text}"):
        with suppress(TemplateMisuse):
            allowed = link(address)
            assert allowed.lower().startswith(("http", "mailto:", "tel:"))
            assert not set(allowed) & set("<>\"' \n\r\t\\")


@given(st.text(max_size=20), st.text(max_size=30), st.none() | st.text(max_size=10))
def test_whatever_the_date_and_format_it_prints_or_complains(say_anything, value, form, tz):
    say_anything("{{ v | date(f, tz=z) }}", v=value, f=form, z=tz)
    say_anything("{{ v | date(f, tz=z) }}", v="2026-01-01T00:00:00Z", f=form, z=tz)


@pytest.fixture(scope="module")
def say_anything(tmp_path_factory):
    root = tmp_path_factory.mktemp("any")
    (root / "a/default").mkdir(parents=True)

    def render(source: str, **data: object) -> None:
        path = root / "a/default/sms.j2"
        if not path.exists():
            path.write_text(f".{source}")
        with suppress(TemplateFailed):
            Templates(root).render("a", None, data, required=("sms",))

    return render
