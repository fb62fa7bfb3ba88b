import pytest

from tidings.templates import Level, Templates


def found(templates: Templates) -> list[str]:
    return [str(problem) for problem in templates.check()]


def variables(make, files: dict[str, str]) -> tuple[str, ...]:
    (info,) = make(files).list_templates()
    return info.variables


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ user.first_name }} {{ user.address['city'] }}", ("user.address['city']", "user.first_name")),
        ("{{ a | default(b) }}{% if c is defined %}{% endif %}", ("a", "b", "c")),
        ("{% for line in order.lines %}{{ line.name }}{{ loop.index }}{{ sep }}{% endfor %}", ("order.lines", "sep")),
        ("{% for k, v in m.items() %}{{ k }}{{ v }}{% endfor %}{{ n.upper() }}", ("m", "n")),
        ("{% set a = b %}{{ a }}{% macro m(x) %}{{ x }}{{ y }}{% endmacro %}{{ m(1) }}", ("b", "y")),
        ("{{ range(3) | join }}{{ dict(a=z) | tojson }}", ("z",)),
        ("{{ prices[currency] }}", ("currency", "prices")),
        ("{{ lines[0].name }}", ("lines[0].name",)),
        ("{% with a = b %}{{ a }}{% endwith %}{% raw %}{{ c }}{% endraw %}{# {{ d }} #}", ("b",)),
    ],
)  # fmt: skip
def test_the_variables_of_a_template_are_told(make, source, names):
    assert variables(make, {"a/default/sms.j2": source}) == names


def test_variables_of_included_files_are_told_but_for_those_they_are_given(make):
    files = {
        "_page.html.j2": "{{ title }}{{ brand }}{% block body %}{% endblock %}",
        "_row.html.j2": "{{ line.name }}{{ order.currency }}",
        "_m.html.j2": "{% macro b(text) %}{{ text }}{{ colour }}{% endmacro %}",
        "a/default/html.j2": "{% extends '_page.html.j2' %}{% set title = subject %}"
        "{% from '_m.html.j2' import b as button %}"
        "{% block body %}{{ title }}{{ button('x') }}{% for line in order.lines %}"
        "{% include '_row.html.j2' %}{% endfor %}{% endblock %}",
    }

    assert variables(make, files) == ("brand", "colour", "order.currency", "order.lines", "subject")


def test_files_that_include_each_other_are_looked_over_once(make):
    files = {
        "a/default/sms.j2": "{% include '_b.j2' %}{{ x }}",
        "_b.j2": "{% include '_b.j2' %}{{ y }}",
    }

    assert variables(make, files) == ("x", "y")


def test_a_sound_folder_has_no_problems(make):
    templates = make(
        {
            "a/default/subject.j2": "{{ x }}",
            "a/default/text.j2": "{% include '_b.j2' %}",
            "a/default/html.j2": "{% include ['_gone.html.j2'] ignore missing %}",
            "_b.j2": "{{ y }}",
        }
    )

    assert templates.check() == ()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("\n{% if %}", "error: a/default/sms.j2, line 2: Expected an expression"),
        ("{{ 1 | nope }}", "error: a/default/sms.j2, line 1: No filter named 'nope'"),
        ("{% if x %}\n{{ 1 | nope }}{% endif %}", "error: a/default/sms.j2, line 2: No filter named 'nope'"),
        ("{% if x %}{{ 1 is nope }}{% endif %}", "error: a/default/sms.j2, line 1: No test named 'nope'"),
        ("{% include '_gone.j2' %}", 'error: a/default/sms.j2, line 1: includes "_gone.j2", which does not exist'),
        ("{% extends '_x.html.j2' %}", "error: a/default/sms.j2, line 1: \"_x.html.j2\" can't be part of"),
        ("{% if 1 %}" * 300, "error: a/default/sms.j2, line 1: is nested too deeply"),
        ("{% for i in x %}" * 25 + "{% endfor %}" * 25, "error: a/default/sms.j2, line 1: is nested too deeply"),
        ("{{ " + "9" * 5000 + " }}", "error: a/default/sms.j2, line 1: can't be compiled"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_without_data(make, source, message):
    templates = make({"a/default/sms.j2": source, "_x.html.j2": ""})

    (problem,) = found(templates)

    assert problem.startswith(message)


def test_a_fault_in_a_shared_file_is_told_once(make):
    files = {f"{name}/default/sms.j2": "{% include '_b.j2' %}" for name in "abc"}

    assert found(make({**files, "_b.j2": "{{ }}"})) == [
        "error: _b.j2, line 1: Expected an expression, got 'end of print statement'"
    ]


def test_unescaped_html_is_warned_of(make):
    templates = make(
        {
            "a/default/subject.j2": "{{ x | safe }}",
            "a/default/text.j2": "x",
            "a/default/html.j2": "{{ x | safe }}\n{% autoescape false %}{{ x }}{% endautoescape %}",
        }
    )

    assert [(problem.line, problem.level) for problem in templates.check()] == [
        (1, Level.WARNING),
        (2, Level.WARNING),
    ]


def test_translations_that_differ_are_warned_of(make):
    templates = make(
        {
            "a/default/subject.j2": "{{ first_name }}",
            "a/default/text.j2": "{{ first_name }} {{ optional }}",
            "a/default/html.j2": "x",
            "a/pt/subject.j2": "{{ fist_name }}",
            "a/pt/text.j2": "{{ first_name }}",
        }
    )

    assert found(templates) == [
        "warning: a/pt: lacks html.j2, which default has",
        'warning: a/pt/subject.j2: uses "fist_name", which a/default/subject.j2 does not: a typo?',
    ]


def test_a_template_without_default_words_is_warned_of(make):
    assert found(make({"a/pt/sms.j2": "x", "a/de/sms.j2": "x"})) == [
        "warning: a: has no default folder: it can only be rendered in de, pt"
    ]


@pytest.mark.parametrize(
    ("parts", "lacking"),
    [("html", "subject.j2 and text.j2"), ("subject", "text.j2"), ("subject html", "text.j2")],
)
def test_half_a_mail_is_warned_of(make, parts, lacking):
    templates = make({f"a/default/{part}.j2": "x" for part in parts.split()})

    assert found(templates) == [f"warning: a/default: lacks {lacking}, which email requires"]


def test_the_problems_of_a_template_come_with_it(make):
    templates = make({"a/default/sms.j2": "{% if %}", "b/default/sms.j2": "x"})

    a, b = templates.list_templates()

    assert [str(problem)[:30] for problem in a.problems] == ["error: a/default/sms.j2, line "]
    assert b.problems == ()
