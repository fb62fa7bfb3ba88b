import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.templates import TemplateError, TemplateFailed, Templates

ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    "{{ v.__init__ }}",
    "{{ v | map(attribute='__class__') | list }}",
    "{{ range.__globals__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ namespace.__init__ }}",
    "{{ joiner('').__class__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func }}",
    "{% macro m() %}{% endmacro %}{{ m.__call__.__globals__ }}",
    "{% for i in [1] %}{{ loop._iterable }}{% endfor %}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '%(a)s'.__mod__ }}",
    "{{ [].append(1) }}",
    "{{ v.append(1) }}",
    "{{ m.update({}) }}",
    "{{ m.pop('a') }}",
    "{{ m.setdefault('a', 1) }}",
    "{{ 'x'.encode() }}",
    "{{ (1).to_bytes(8, 'big') }}",
    "{{ lipsum() }}",
    "{{ v | attr('append') }}",
    "{{ 1 | map('=tick') | list }}",
    "{{ [1] | map('=tick') | list }}",
    "{{ [1] | map('=read') | list }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_a_template_reaches_nothing_but_its_data(render, source):
    data = {"v": ["x"], "m": {"a": 1}}

    with pytest.raises(TemplateError):
        render(source, **data)

    assert data == {"v": ["x"], "m": {"a": 1}}


@pytest.mark.parametrize(
    "key", ["items", "keys", "values", "get", "count", "index", "pop", "format"]
)
def test_a_key_of_the_data_goes_before_a_method_of_that_name(render, key):
    assert render(f"{{{{ order.{key} }}}}", order={key: "mine"}) == "mine"
    assert render(f"{{{{ order['{key}'] }}}}", order={key: "mine"}) == "mine"
    assert (
        render(f"{{% if order.{key} is defined %}}there{{% else %}}not{{% endif %}}", order={})
        == "not"
    )
    assert render(f"{{{{ order.{key} | default('not') }}}}", order={}) == "not"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for k, v in m.items() %}{{ k }}={{ v }};{% endfor %}", "a=1;b=2;"),
        ("{% for k, v in m | items %}{{ k }}={{ v }};{% endfor %}", "a=1;b=2;"),
        ("{{ m.keys() | join }}{{ m.values() | join }}{{ m.get('z', 9) }}", "ab129"),
        ("{{ name.upper() }} {{ name.replace('n', 'm') }} {{ name.split('n')[0] }}", "ANA ama a"),
        ("{{ name.center(7) }}|{{ name[1:] }}{{ name[0] }}", "ana  |naa"),
        ("{{ [1, 2].index(2) }}{{ (1, 2).count(1) }}{{ 2.0.is_integer() }}", "11True"),
        ("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3"),
        ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}", "aba"),
        ("{% for n in [1, 2] %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}", "1/2,2/2"),
        ("{% for n in tree recursive %}{{ n.v }}{{ loop(n.c) }}{% endfor %}", "123"),
        ("{% macro m(a, b=2) %}{{ a }}{{ b }}{{ caller() }}{% endmacro %}{% call m(1) %}x{% endcall %}", "12x"),
        ("{% for i in range(4) if i is even %}{{ i }}{% else %}none{% endfor %}", "02"),
        ("{% for i in [] %}{{ i }}{% else %}none{% endfor %}", "none"),
        ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}", "3"),
        ("{% filter upper %}a{{ name }}{% endfilter %}", "AANA"),
        ("{% set x %}<{{ name }}>{% endset %}{{ x }}", "<ana>"),
        ("{{ (m | dictsort)[0][1] }}{{ [3, 1] | sort | first }}{{ [{'a': 5}] | map(attribute='a') | first }}", "115"),
        ("{{ m | tojson }}", '{"a": 1, "b": 2}'),
        ("{% include ['_gone.j2', 'note/default/other.j2'] ignore missing %}ok", "ok"),
        ("{{ [1, 2, 3] | batch(2, 0) | map('join', '+') | join(' ') }}", "1+2 3+0"),
        ("{% for g in [{'k': 1}, {'k': 1}] | groupby('k') %}{{ g.grouper }}:{{ g.list | length }}{% endfor %}", "1:2"),
        ("{{ [1, 2, 3] | select('gt', 1) | list | length }}{{ 7 // 2 }}{{ 2 ** 3 }}{{ 'a' * 3 }}", "238aaa"),
    ],
)  # fmt: skip
def test_what_templates_are_for_works(render, source, text):
    tree = [{"v": 1, "c": [{"v": 2, "c": []}]}, {"v": 3, "c": []}]

    assert render(source, name="ana", m={"a": 1, "b": 2}, tree=tree) == text.strip()


FORMS = {
    "text": "<p>{{ v }}</p>",
    "attribute": '<a title="{{ v }}"></a>',
    "filter": "<p>{{ v | upper | lower | trim | replace('zq', 'qz') }}</p>",
    "joined": "<p>{{ [v, v] | join('<br>') }}</p>",
    "sum": "<p>{{ v + v }}</p>",
    "tilde": "<p>{{ '<' ~ v }}</p>",
    "macro": "{% macro m(x) %}<i>{{ x }}</i>{% endmacro %}{{ m(v) }}",
    "caller": "{% macro m() %}<i>{{ caller() }}</i>{% endmacro %}{% call m() %}{{ v }}{% endcall %}",
    "set": "{% set x %}<b>{{ v }}</b>{% endset %}{{ x }}",
    "include": "{% include '_v.html.j2' %}",
    "imported": "{% from '_m.html.j2' import show %}{{ show(v) }}",
    "format": "{{ '<%s>' | format(v) }}",
    "default": "{{ nothing | default(v) }}",
    "loop": "{% for c in [v] recursive %}{{ c }}{% endfor %}",
    "key": "{% for k in {v: 1} %}{{ k }}{% endfor %}",
    "json": "<script>{{ {'k': v} | tojson }}</script>",
    "truncated": "{{ v | truncate(3, true) }}",
    "wrapped": "{{ v | wordwrap(4) | indent }}",
    "method": "{{ v.upper() ~ v.replace('a', '<') }}",
}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(f"{tag} {[name for name, _ in attrs]}")


@pytest.fixture
def pages(make):
    shared = {
        "_v.html.j2": "<u>{{ v }}</u>",
        "_m.html.j2": "{% macro show(x) %}<u>{{ x }}</u>{% endmacro %}",
    }
    return make({f"{name}/default/html.j2": f".{form}" for name, form in FORMS.items()} | shared)


@pytest.mark.parametrize("form", FORMS)
def test_no_data_becomes_html(pages, form):
    def tags(value: str) -> list[str]:
        parser = _Tags()
        parser.feed(pages.render(form, None, {"v": value}, required=("html",))["html"])
        return parser.seen

    plain = tags("x")

    @given(st.text() | st.text(alphabet="<>\"'&/!-= aiscript%{}x\n;#0"))
    def holds(value: str) -> None:
        assert tags(value) == plain

    holds()


@given(value=st.text())
def test_escaped_text_reads_as_it_was_sent(tmp_path_factory, value):
    root = tmp_path_factory.mktemp("page")
    (root / "page/default").mkdir(parents=True)
    (root / "page/default/html.j2").write_text("<p>{{ v }}</p>")

    page = Templates(root).render("page", None, {"v": value}, required=("html",))["html"]

    inner = re.fullmatch(r"<p>(.*)</p>", page, re.DOTALL)
    assert inner is not None
    assert not set("<>\"'") & set(inner[1])
    assert html.unescape(inner[1].replace("&#34;", "&quot;")) == html.unescape(html.escape(value))


def test_plain_text_is_not_escaped(render):
    assert render("{{ v }}", v='Tom & "Jerry" <3') == 'Tom & "Jerry" <3'


def test_a_subject_is_not_escaped_though_the_page_is(make):
    templates = make({"a/default/subject.j2": "{{ v }}", "a/default/html.j2": "{{ v }}"})

    written = templates.render("a", None, {"v": "a & b"}, required=("subject", "html"))

    assert written == {"subject": "a & b", "html": "a &amp; b"}


def test_safe_is_the_authors_own_word_for_it(make):
    templates = make({"a/default/html.j2": "{{ v | safe }}"})

    assert templates.render("a", None, {"v": "<b>"}, required=("html",)) == {"html": "<b>"}


def test_unsafe_is_told_without_a_traceback_of_jinjas(render):
    with pytest.raises(TemplateFailed, match="may not access"):
        render("{{ self.__init__ }}")
