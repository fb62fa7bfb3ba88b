import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.delivery.errors import TidingsError
from tidings.templates import (
    MissingVariable,
    TemplateError,
    TemplateFailed,
    TemplateNotFound,
    Templates,
    TemplateSyntax,
    TemplateTooExpensive,
)

SECRET = "s3cr3t-value"


def failure(templates: Templates, data: dict[str, object], part: str = "sms") -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        templates.render("note", "pt-BR", data, required=(part,))
    return caught.value


def test_a_missing_variable_is_named_with_its_template_locale_file_line_and_cure(make):
    templates = make({"note/pt/sms.j2": "Hello\n\n{{ first_name }}"})

    error = failure(templates, {})

    assert isinstance(error, MissingVariable)
    assert isinstance(error, TidingsError)
    assert error.variable == "first_name"
    assert str(error) == (
        'template "note" (pt): variable "first_name" is missing from data '
        '[note/pt/sms.j2, line 3]. Send it, or write {{ first_name | default("…") }}'
    )


@pytest.mark.parametrize(
    ("source", "data", "variable"),
    [
        ("{{ user.first_name }}", {"user": {}}, "user.first_name"),
        ("{{ user['first name'] }}", {"user": {}}, "user['first name']"),
        ("{{ user.address.city }}", {"user": {}}, "user.address"),
        ("{% if user.vip %}x{% endif %}", {"user": {}}, "user.vip"),
        ("{% for line in order.lines %}x{% endfor %}", {"order": {}}, "order.lines"),
        ("{{ order.items }}", {"order": {}}, "order.items"),
        ("{% if order.values %}x{% endif %}", {"order": {}}, "order.values"),
        ("{{ order.total | number }}", {"order": {}}, "order.total"),
        ("{{ order.total | items | list | tojson }}", {"order": {}}, "order.total"),
        ("{{ total * 2 }}", {}, "total"),
        ("{{ 'a' ~ total }}", {}, "total"),
        ("{{ lines[3] }}", {"lines": []}, "lines[3]"),
        ("{{ lines[key] }}", {"lines": []}, "key"),
        ("{{ lines[key] }}", {"lines": {}}, "key"),
        ("{{ greet() }}", {}, "greet"),
        ("{% if total == 3 %}x{% endif %}", {}, "total"),
        ("{{ [1, total] | join }}", {}, "total"),
        ("{{ user.first_name }}", {"user": {"first_name": None}}, "user.first_name"),
        ("{{ user.first_name }}", {"user": None}, "user.first_name"),
    ],
)
def test_a_missing_or_null_variable_is_named_as_the_template_writes_it(
    make, source, data, variable
):
    error = failure(make({"note/default/sms.j2": source}), data)

    assert isinstance(error, MissingVariable)
    assert error.variable == variable
    assert variable in str(error)


def test_null_is_never_printed_but_may_have_a_default(render):
    with pytest.raises(MissingVariable, match='"name" is null'):
        render("Hello {{ name }}", name=None)
    with pytest.raises(MissingVariable, match="null"):
        render("Hello {{ name | upper }}", name=None)
    with pytest.raises(MissingVariable, match="null"):
        render("{{ [name] | join }}", name=None)

    assert render('Hello {{ name | default("you") }}', name=None) == "Hello you"


def test_the_place_is_the_innermost_file(make):
    templates = make(
        {
            "note/default/sms.j2": "a\n{% include '_line.j2' %}",
            "_line.j2": "\n\n{{ price }}",
        }
    )

    error = failure(templates, {})

    assert (error.location.file, error.location.line) == ("_line.j2", 3)
    assert error.location.template == "note"


def test_a_syntax_error_names_file_and_line(make):
    error = failure(make({"note/default/sms.j2": "ok\n{% if %}"}), {})

    assert isinstance(error, TemplateSyntax)
    assert "[note/default/sms.j2, line 2]" in str(error)


@pytest.mark.parametrize("word", ["nope", "urlize", "random", "pprint", "attr"])
def test_a_filter_that_is_not_there_is_a_syntax_error(make, word):
    error = failure(make({"note/default/sms.j2": f"{{{{ 1 | {word} }}}}"}), {})

    assert isinstance(error, TemplateSyntax)
    assert word in str(error)


def test_an_include_that_is_not_there_is_named(make):
    error = failure(make({"note/default/sms.j2": "{% include '_gone.j2' %}"}), {})

    assert isinstance(error, TemplateNotFound)
    assert '"_gone.j2"' in str(error)
    assert "[note/default/sms.j2, line 1]" in str(error)


def test_an_unknown_template_is_told_with_the_nearest_one(make):
    templates = make({"welcome/default/sms.j2": "x"})

    with pytest.raises(TemplateNotFound, match=r'"welcom": there is no such.*mean "welcome"\?$'):
        templates.render("welcom", None, {}, required=("sms",))


def test_a_template_without_the_part_is_told_with_where_it_was_looked_for(make):
    templates = make({"welcome/default/text.j2": "x", "welcome/pt/text.j2": "x"})

    with pytest.raises(TemplateNotFound) as caught:
        templates.render("welcome", "pt-BR", {}, required=("sms",))

    assert "pt-BR → pt → default has sms.j2" in str(caught.value)
    assert "default has text.j2; pt has text.j2" in str(caught.value)


def test_a_root_that_is_not_there_makes_every_template_missing(tmp_path):
    templates = Templates(tmp_path / "nowhere")

    with pytest.raises(TemplateNotFound, match="nowhere"):
        templates.render("welcome", None, {}, required=("sms",))
    assert "nowhere is not a folder" in str(templates.check()[0])


@pytest.mark.parametrize(
    ("source", "data", "words"),
    [
        ("{{ lines }}", {"lines": [1]}, "`lines` is a list"),
        ("{{ user }}", {"user": {"a": 1}}, "`user` is an object"),
        ("{{ range(3) }}", {}, "is a range"),
        ("{{ [] | first }}", {}, "sequence was empty"),
        ("{{ 1 / 0 }}", {}, "division by zero"),
        ("{{ 'a' + 1 }}", {}, "TypeError"),
        ("{{ '%s' % 1 }}", {}, "format"),
        ("{{ self.__class__ }}", {}, "may not access"),
    ],
)
def test_what_can_not_be_written_is_told_in_words(make, source, data, words):
    error = failure(make({"note/default/sms.j2": source}), data)

    assert isinstance(error, TemplateFailed)
    assert words in str(error)
    assert "note/default/sms.j2, line 1" in str(error)


def test_an_inline_if_without_an_else_says_nothing(render):
    assert render("{{ n }} item{{ 's' if n != 1 }}", n=1) == "1 item"
    assert render("{{ n }} item{{ 's' if n != 1 }}", n=2) == "2 items"


SPILLING = [
    "{{ v | int | nope_ }}",
    "{{ v | date }}",
    "{{ v | number }}",
    "{{ v | link }}",
    "{{ v + 1 }}",
    "{{ 1 + v }}",
    "{{ v.a.b }}",
    "{{ v[v] }}",
    "{{ m[v ~ 1] }}",
    "{{ m[v].x }}",
    "{{ v.v }}",
    "{{ v() }}",
    "{{ m }}",
    "{{ l }}",
    "{{ l.index(v ~ 1) }}",
    "{{ v.index('zzz') }}",
    "{{ v | round }}",
    "{{ [v, 1] | sort }}",
    "{{ l | sum }}",
    "{{ l | map(v) | list }}",
    "{{ l | map(attribute=v) | join }}",
    "{{ l | groupby(v) | list }}",
    "{{ 3 | format(v) }}",
    "{{ '%d' | format(v) }}",
    "{{ '2026-01-01T00:00:00Z' | date(v, tz=v) }}",
    "{{ '2026-01-01' | date('%' ~ v) }}",
    "{{ 1 | date_part(v) }}",
    "{% include v %}",
    "{% extends v %}",
    "{% import v as x %}{{ x.y }}",
    "{% for a, b in l %}{% endfor %}",
    "{% set a, b = v %}",
    "{{ dict(v) }}",
    "{{ range(v) }}",
    "{{ cycler(v).current.nope }}",
    "{% macro m2() %}{% endmacro %}{{ m2(**m) }}",
    "{% macro m2() %}{% endmacro %}{{ m2(v) }}",
    "{{ 1 / (v | int) }}",
    "{{ v is divisibleby(0) }}",
    "{{ 1 in v }}",
    "{{ v.split('') }}",
    "{{ v | truncate(v) }}",
    "{{ v | wordwrap(v) }}",
    "{{ v | center(v) }}",
    "{{ v | tojson(indent=v) }}",
    "{{ m | dictsort(v) }}",
    "{{ v | batch(v) | list }}",
    "{{ m | xmlattr }}",
]


@pytest.mark.parametrize("source", SPILLING)
def test_no_value_of_the_data_is_in_an_error(make, source):
    data = {"v": SECRET, "m": {SECRET: SECRET, "k": 1}, "l": [SECRET, SECRET + "2"]}

    error = failure(make({"note/default/sms.j2": source}), data)

    assert SECRET not in str(error)
    assert SECRET not in repr(error.__dict__)
    assert error.__suppress_context__


EXPRESSIONS = (
    "a;a.b;a[b];a + b;a * b;a ** b;a % b;a ~ b;a == b;a in b;a(b);a[b:c];a.items();a | number;"
    "a | date(b);a | join(b);a | sort | tojson;a | upper;a | replace(b, c);a | truncate(b);"
    "a | int(b);a | sum;a | map(attribute=b) | list;a | round(b);a | indent(b);a | format(b);"
    "a | link;a | batch(b) | list;a | center(b);a | default(b);a | urlencode;a.split(b);a | wordwrap"
)


@given(
    data=st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
    ),
    expression=st.sampled_from(EXPRESSIONS.split(";")),
)
def test_whatever_the_data_a_template_is_written_or_fails_with_our_error(
    tmp_path_factory, data, expression
):
    root = tmp_path_factory.mktemp("any")
    (root / "note/default").mkdir(parents=True)
    (root / "note/default/html.j2").write_text(f"x{{{{ {expression} }}}}")
    templates = Templates(root)

    try:
        written = templates.render("note", None, data, required=("html",))["html"]
    except TemplateError as error:
        written = f"x {error}"

    assert written.startswith("x")


def test_the_error_of_a_bomb_is_too_expensive_and_says_how_much_was_allowed(make):
    templates = make({"note/default/sms.j2": "\n{% for i in range(999) %}{% endfor %}"}, steps=100)

    error = failure(templates, {"x": json.dumps(SECRET)})

    assert isinstance(error, TemplateTooExpensive)
    assert error.kind == "template_too_expensive"
    assert "line 2" in str(error)
