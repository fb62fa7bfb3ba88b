from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.templates import TemplateError, TemplateNotFound, Templates
from tidings.templates.names import canonical, fallback, is_locale, is_name


@pytest.mark.parametrize(
    ("locale", "chain"),
    [
        (None, ("default",)),
        ("default", ("default",)),
        ("pt", ("pt", "default")),
        ("pt-BR", ("pt-BR", "pt", "default")),
        ("PT_br", ("pt-BR", "pt", "default")),
        ("zh-hant-tw", ("zh-Hant-TW", "zh-Hant", "zh", "default")),
        ("es-419", ("es-419", "es", "default")),
        ("en-x-twain", ("en-x-twain", "en", "default")),
        ("pt_br", ("pt-BR", "pt", "default")),
        ("pt_BR", ("pt-BR", "pt", "default")),
        ("en-u-ca-gregory", ("en-u-ca-gregory", "en-u-ca", "en", "default")),
        (
            "de-DE-u-co-phonebk",
            ("de-DE-u-co-phonebk", "de-DE-u-co", "de-DE", "de", "default"),
        ),
    ],
)
def test_a_locale_falls_back_one_subtag_at_a_time(locale, chain):
    assert fallback(locale) == chain


@pytest.mark.parametrize(
    "locale", ["", "p", "portuguese", "pt-", "-pt", "pt--BR", "pt/BR", "../pt", "pt-BR" + "-a" * 50]
)
def test_what_is_no_language_tag_is_refused(make, locale):
    templates = make({"a/default/sms.j2": "a"})

    with pytest.raises(TemplateNotFound, match=r"is not a locale.*e\.g\. pt, pt-BR"):
        templates.render("a", locale, {}, required=("sms",))


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/", "/a", "a//b", "a/../b", "_a", "a/_b", "a b", "ä", "a\n", "x" * 129],
)
def test_what_is_no_name_is_refused_with_the_rule(make, name):
    templates = make({"a/default/sms.j2": "a", "_a/default/sms.j2": "never"})

    with pytest.raises(TemplateNotFound, match="letters, digits, - and _"):
        templates.render(name, None, {}, required=("sms",))


@given(st.text())
def test_a_canonical_locale_stays_as_it_is(text):
    if is_locale(text):
        assert canonical(canonical(text)) == canonical(text)
        assert is_locale(canonical(text))


PATHS = st.text(alphabet="./\\_-~%\x00abcSECRETsecretj2:*", max_size=40) | st.text()


@pytest.fixture(scope="module")
def templates(tmp_path_factory) -> Templates:
    above: Path = tmp_path_factory.mktemp("above")
    for location in ("", "secret/default", "root/default", "root/a/default", "root/_b/default"):
        folder = above / location
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "secret.j2").write_text("SECRET")
        (folder / "sms.j2").write_text("SECRET")
    (above / "root/a/default/sms.j2").write_text("{% include where ignore missing %}open")
    (above / "root/a/default/secret.j2").unlink()
    (above / "root/default/secret.j2").unlink()
    (above / "root/default/sms.j2").unlink()
    return Templates(above / "root")


@given(
    name=PATHS | st.just("a"), locale=st.none() | PATHS, part=PATHS | st.just("sms"), where=PATHS
)
def test_no_name_locale_part_or_include_leads_out_of_the_root(templates, name, locale, part, where):
    try:
        written = templates.render(name, locale, {"where": where}, required=(part,))
    except TemplateError:
        return

    assert (name, part) == ("a", "sms")
    assert written == {"sms": "open"}


@given(PATHS)
def test_a_name_never_has_a_part_that_a_file_system_takes_for_another_folder(name):
    if is_name(name):
        assert not {"", ".", ".."} & set(name.split("/"))
        assert not set(name) & set("\\\0~%:*")
