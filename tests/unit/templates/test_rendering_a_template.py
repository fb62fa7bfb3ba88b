from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidings.templates import (
    TemplateFailed,
    TemplateNotFound,
    Templates,
    TemplateSyntax,
    TemplateTooExpensive,
)

MAIL = ("subject", "text")
WELCOME = {
    "welcome/default/subject.j2": "Welcome, {{ user.first_name }}\n",
    "welcome/default/text.j2": "Hello {{ user.first_name }}",
    "welcome/default/html.j2": "<p>{{ user.first_name }}</p>",
    "welcome/pt/subject.j2": "Boas-vindas",
    "welcome/pt/text.j2": "Olá",
    "welcome/pt-BR/subject.j2": "Boas-vindas, Brasil",
}
ANA = {"user": {"first_name": "Ana & Zé"}}


def test_every_required_and_each_existing_optional_part_is_written(make):
    templates = make(WELCOME)

    written = templates.render("welcome", None, ANA, required=MAIL, optional=("html", "amp"))

    assert written == {
        "subject": "Welcome, Ana & Zé",
        "text": "Hello Ana & Zé",
        "html": "<p>Ana &amp; Zé</p>",
    }


def test_parts_nobody_asked_for_are_not_written(make):
    templates = make({**WELCOME, "welcome/default/sms.j2": "{{ nothing_of_that_name }}"})

    assert set(templates.render("welcome", None, ANA, required=MAIL)) == {"subject", "text"}


def test_a_message_is_of_one_locale_the_first_that_has_all_of_it(make):
    templates = make(WELCOME)

    written = templates.render("welcome", "pt-BR", ANA, required=MAIL, optional=("html",))

    assert written == {"subject": "Boas-vindas", "text": "Olá"}
    assert templates.locale("welcome", "pt-BR", MAIL) == "pt"
    assert templates.locale("welcome", "pt-BR", ("subject",)) == "pt-BR"
    assert templates.locale("welcome", "pt-BR", ("html",)) == "default"


@pytest.mark.parametrize("locale", ["pt-BR", "pt_br", "PT-br", "pt-BR-x-informal"])
def test_a_locale_is_found_however_it_is_spelled(make, locale):
    templates = make({"hi/pt_br/sms.j2": "oi", "hi/default/sms.j2": "hi"})

    assert templates.render("hi", locale, {}, required=("sms",)) == {"sms": "oi"}


@pytest.mark.parametrize("locale", [None, "default", "fr", "fr-CA"])
def test_words_without_a_translation_are_the_default_ones(make, locale):
    templates = make({"hi/pt/sms.j2": "oi", "hi/default/sms.j2": "hi"})

    assert templates.render("hi", locale, {}, required=("sms",)) == {"sms": "hi"}


def test_a_name_may_have_folders(make):
    templates = make({"orders/eu/shipped/default/sms.j2": "on its way"})

    written = templates.render("orders/eu/shipped", "de", {}, required=("sms",))

    assert written == {"sms": "on its way"}


def test_white_space_around_a_part_and_lines_with_only_a_tag_are_dropped(render):
    source = "\n\n{% set who = name %}\n  {% if who %}\nHello {{ who }}\n  {% endif %}\n\n"

    assert render(source, name="Ana") == "Hello Ana"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a{% if n %} b{% endif %}\nc", "a b\nc"),
        ("a {# why #}\nb", "a \nb"),
        ("{{ n }}{% if n %}{% endif %}\nb", "1\nb"),
        ("a\n{% if n %}\nb\n{% endif %}\nc", "a\nb\nc"),
        ("a\n  {% set x = [1,\n  2] %}\nb", "a\nb"),
        ("a\n{# one #}{# two #}\nb", "a\nb"),
        ("a{% if n -%}\n\n b{% endif %}", "ab"),
        ("a{% if n +%}\nb{% endif %}", "a\nb"),
        ("a\r\n{% if n %}\r\nb{% endif %}\r\nc", "a\nb\nc"),
        ("{% raw %}a{% if %}\nb{% endraw %}\nc", "a{% if %}\nb\nc"),
        ("{% for i in [1, 2] %}{{ i }},{% endfor %}\nc", "1,2,\nc"),
        ("{% for i in [1, 2] %}\n- {{ i }}\n{% endfor %}\nc", "- 1\n- 2\nc"),
    ],
)
def test_a_line_with_only_tags_leaves_no_line_and_any_other_keeps_its_end(render, source, text):
    assert render(source, n=1) == text


@pytest.mark.parametrize("break_", ["\n", "\r", "\r\n", "\u2028", "\x85", "\x0b", "\x0c"])
def test_a_subject_with_a_line_break_is_refused(make, break_):
    templates = make(WELCOME)
    data = {"user": {"first_name": f"Ana{break_}Bcc: everyone@example.com"}}

    with pytest.raises(TemplateFailed, match=r"subject has a line break.*oneline"):
        templates.render("welcome", None, data, required=MAIL)


def test_oneline_makes_a_subject_of_anything(make):
    templates = make({"a/default/subject.j2": "{{ text | oneline }}"})

    written = templates.render("a", None, {"text": "a\r\n b\u2028c"}, required=("subject",))

    assert written == {"subject": "a b c"}


def test_a_required_part_that_says_nothing_is_an_error_and_an_optional_one_is_left_out(make):
    templates = make({"a/default/text.j2": "{% if false %}x{% endif %}", "a/default/b.j2": "b"})

    assert templates.render("a", None, {}, required=("b",), optional=("text",)) == {"b": "b"}
    with pytest.raises(TemplateFailed, match="rendered to nothing"):
        templates.render("a", None, {}, required=("text",))


def test_files_can_extend_include_and_import_others_below_the_root(make):
    templates = make(
        {
            "_layouts/page.html.j2": "<b>{% block body %}{% endblock %}</b>{% include '_f.html.j2' %}",
            "_f.html.j2": "<i>{{ note }}</i>",
            "_m.html.j2": "{% macro link(text) %}<a>{{ text }}</a>{% endmacro %}",
            "a/default/html.j2": "{% extends '_layouts/page.html.j2' %}"
            "{% import '_m.html.j2' as m %}{% block body %}{{ m.link(note) }}{% endblock %}",
        }
    )

    written = templates.render("a", None, {"note": "<&>"}, required=("html",))

    assert written["html"] == "<b><a>&lt;&amp;&gt;</a></b><i>&lt;&amp;&gt;</i>"


@pytest.mark.parametrize(
    "path", ["../secret.j2", "/etc/hostname", "_x/../../secret.j2", "secret.j2"]
)
def test_no_file_outside_of_the_root_can_be_included(make, tmp_path: Path, path):
    (tmp_path / "secret.j2").write_text("secret")
    templates = make({"a/default/sms.j2": f"{{% include '{path}' %}}", "_x/y.j2": ""})

    with pytest.raises(TemplateNotFound, match=r"includes .* which does not exist"):
        templates.render("a", None, {}, required=("sms",))


@pytest.mark.parametrize(
    "source",
    ["{% include '_part.j2' %}", "{% extends '_part.j2' %}", "{% import '_part.j2' as p %}"],
)
def test_an_escaped_file_takes_nothing_from_one_that_is_not(make, source):
    templates = make({"_part.j2": "{{ name }}", "a/default/html.j2": source})

    with pytest.raises(TemplateSyntax, match="HTML-escaped"):
        templates.render("a", None, {"name": "<script>"}, required=("html",))


def test_a_part_may_not_become_longer_than_allowed(make):
    templates = make({"a/default/sms.j2": "{{ text }}"}, characters=10)

    assert templates.render("a", None, {"text": "x" * 10}, required=("sms",))
    with pytest.raises(TemplateTooExpensive, match="more than 10 characters"):
        templates.render("a", None, {"text": "x" * 11}, required=("sms",))


def test_all_parts_of_a_message_share_its_steps(make):
    loop = "{% for i in range(600) %}{{ i }}{% endfor %}"
    templates = make({"a/default/one.j2": loop, "a/default/two.j2": loop}, steps=3000)

    assert templates.render("a", None, {}, required=("one",))
    assert templates.render("a", None, {}, required=("two",))
    with pytest.raises(TemplateTooExpensive, match="3,000 steps"):
        templates.render("a", None, {}, required=("one", "two"))


def test_threads_write_at_the_same_time_each_with_steps_of_its_own(make):
    templates = make(
        {
            "cheap/default/sms.j2": "{% for i in range(100) %}{{ n }}{% endfor %}",
            "dear/default/sms.j2": "{% for i in range(100000) %}{{ n }}{% endfor %}",
        },
        steps=5000,
    )

    def attempt(n: int) -> str:
        name = "dear" if n % 2 else "cheap"
        try:
            return templates.render(name, None, {"n": n}, required=("sms",))["sms"]
        except TemplateTooExpensive:
            return "too expensive"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(200)))

    assert results == ["too expensive" if n % 2 else str(n) * 100 for n in range(200)]


def test_nothing_is_read_again_until_it_is_told_to(make):
    templates: Templates = make({"a/default/sms.j2": "old"})
    (templates.root / "a/default/sms.j2").write_text("new")

    assert templates.render("a", None, {}, required=("sms",)) == {"sms": "old"}
    templates.reload()
    assert templates.render("a", None, {}, required=("sms",)) == {"sms": "new"}


def test_auto_reload_notices_files_that_changed_came_or_went(make):
    templates: Templates = make({"a/default/sms.j2": "{% include '_b.j2' %}"}, auto_reload=True)

    with pytest.raises(TemplateNotFound):
        templates.render("a", None, {}, required=("sms",))
    (templates.root / "_b.j2").write_text("here")
    assert templates.render("a", None, {}, required=("sms",)) == {"sms": "here"}
    (templates.root / "_b.j2").write_text("changed")
    assert templates.render("a", None, {}, required=("sms",)) == {"sms": "changed"}
    (templates.root / "_b.j2").unlink()
    with pytest.raises(TemplateNotFound):
        templates.render("a", None, {}, required=("sms",))


def test_rendering_does_not_touch_the_disk(make):
    templates: Templates = make(
        {"a/default/html.j2": "{% include '_b.html.j2' %}", "_b.html.j2": "b"}
    )
    for path in sorted(templates.root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()

    assert templates.render("a", "pt-BR", {}, required=("html",)) == {"html": "b"}
