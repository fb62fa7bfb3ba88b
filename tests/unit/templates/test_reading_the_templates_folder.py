from pathlib import Path

import pytest

from tidings.templates import Level, Templates


def problems(templates: Templates) -> dict[str, str]:
    return {problem.file: problem.message for problem in templates.check()}


def test_files_are_templates_by_their_place_and_those_with_an_underscore_are_not(make):
    templates = make(
        {
            "welcome/default/text.j2": "",
            "welcome/pt_BR/text.j2": "",
            "orders/shipped/default/sms.j2": "",
            "_layouts/page.j2": "",
            "welcome/_parts/row.j2": "",
            "welcome/default/_row.j2": "",
        }
    )

    found = {info.name: (info.locales, info.parts) for info in templates.list_templates()}

    assert found == {
        "orders/shipped": (("default",), ("sms",)),
        "welcome": (("default", "pt-BR"), ("text",)),
    }
    assert problems(templates) == {}


@pytest.mark.parametrize(
    "path", ["text.j2", "welcome/text.j2", "welcome/v2/text.j2", "a b/pt/x.j2"]
)
def test_a_file_in_a_place_of_no_meaning_is_a_problem(make, path):
    templates = make({path: "x", "ok/default/sms.j2": "x"})

    (problem,) = templates.check()

    assert problem.file == path
    assert problem.level is Level.ERROR
    assert "e.g. welcome" in problem.message


def test_two_spellings_of_one_locale_are_a_problem(make):
    templates = make({"a/pt-BR/sms.j2": "1", "a/pt_br/sms.j2": "2", "a/default/sms.j2": ""})

    assert problems(templates) == {"a/pt_br/sms.j2": "is the same part as a/pt-BR/sms.j2"}


def test_other_files_are_problems_and_hidden_ones_are_not(make):
    templates: Templates = make(
        {"a/default/sms.j2": "x", "a/default/notes.txt": "x", ".git/x": "x"}
    )

    assert list(problems(templates)) == ["a/default/notes.txt"]
    assert ".j2" in problems(templates)["a/default/notes.txt"]


def test_what_can_not_be_read_is_a_problem_of_its_own_and_the_others_work(make):
    templates: Templates = make({"a/default/sms.j2": "fine", "b/default/sms.j2": "x" * 600_000})
    (templates.root / "a/default/text.j2").write_bytes(b"ol\xe1")
    (templates.root / "a/default/gone.j2").symlink_to(templates.root / "nowhere.j2")
    templates.reload()

    found = problems(templates)

    assert found["a/default/text.j2"] == "is not UTF-8: byte 3"
    assert found["a/default/gone.j2"] == "can't be read: No such file or directory"
    assert found["b/default/sms.j2"] == "has 600,000 bytes; at most 524,288 are allowed"
    assert templates.render("a", None, {}, required=("sms",)) == {"sms": "fine"}


def test_a_byte_order_mark_is_no_part_of_the_words(make):
    templates: Templates = make({"a/default/sms.j2": "x"})
    (templates.root / "a/default/sms.j2").write_bytes("\ufeffolá".encode())
    templates.reload()

    assert templates.render("a", None, {}, required=("sms",)) == {"sms": "olá"}


def test_links_are_followed_within_the_root_as_kubernetes_mounts_them(tmp_path: Path):
    root = tmp_path / "root"
    data = root / "..2026_11_22"
    (data / "welcome/default").mkdir(parents=True)
    (data / "welcome/default/sms.j2").write_text("mounted")
    (root / "..data").symlink_to(data.name)
    (root / "welcome").symlink_to("..data/welcome")

    templates = Templates(root)

    assert templates.render("welcome", None, {}, required=("sms",)) == {"sms": "mounted"}
    assert templates.check() == ()


def test_links_out_of_the_root_are_not_followed(tmp_path: Path, make):
    templates: Templates = make({"a/default/sms.j2": "x"})
    (tmp_path / "secret.j2").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/text.j2").write_text("secret")
    (templates.root / "a/default/b.j2").symlink_to(tmp_path / "secret.j2")
    (templates.root / "a/pt").symlink_to(tmp_path / "elsewhere")
    templates.reload()

    assert {file: "leads out" in why for file, why in problems(templates).items()} == {
        "a/default/b.j2": True,
        "a/pt/text.j2": True,
    }
    assert [info.locales for info in templates.list_templates()] == [("default",)]


def test_a_link_to_its_own_folder_ends(make):
    templates: Templates = make({"a/default/sms.j2": "x"})
    (templates.root / "a/default/again").symlink_to(templates.root / "a")
    templates.reload()

    assert templates.render("a", None, {}, required=("sms",)) == {"sms": "x"}
