"""What a notification says: as the producer wrote it, or as a template does."""

from pathlib import Path

import pytest
from tests.support.attempts import attempt_of

from tidings.delivery.errors import Rejected
from tidings.delivery.ports import Content, TemplateParts
from tidings.templates import Templates
from tidings.worker.content import content_of
from tidings_events import Notification, SmsNotification

EMAIL = TemplateParts(required={"subject": "subject", "text": "text"}, optional={"html": "html"})
SMS = TemplateParts(required={"sms": "text"})


def email(**fields: object) -> Notification:
    return attempt_of(**fields).notification


def templated(**fields: object) -> Notification:
    return email(subject=None, body=None, template="welcome", **fields)


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    for locale, greeting in {"default": "Hello", "pt": "Olá"}.items():
        folder = tmp_path / "welcome" / locale
        folder.mkdir(parents=True)
        (folder / "subject.j2").write_text(f"{greeting} {{{{ name }}}}")
        (folder / "text.j2").write_text(f"{greeting}, {{{{ name }}}}!")
    (tmp_path / "welcome" / "default" / "html.j2").write_text("<b>{{ name }}</b>")
    (tmp_path / "welcome" / "default" / "sms.j2").write_text("Hi {{ name }}")
    return Templates(tmp_path)


def test_inline_words_are_taken_as_they_are(templates: Templates) -> None:
    notification = email(subject="S {{ x }}", body="B", html="<p>H</p>")
    assert content_of(notification, EMAIL, templates) == Content("B", "S {{ x }}", "<p>H</p>")


def test_words_that_are_left_out_are_empty(templates: Templates) -> None:
    notification = email(body=None, html="<p>H</p>")
    assert content_of(notification, EMAIL, templates) == Content("", "Hello", "<p>H</p>")


def test_a_channel_without_a_subject_has_none(templates: Templates) -> None:
    notification = SmsNotification(recipient="+14155550123", body="Short")
    assert content_of(notification, SMS, templates) == Content("Short")


def test_a_template_s_parts_go_where_the_channel_says(templates: Templates) -> None:
    content = content_of(templated(data={"name": "A<da"}), EMAIL, templates)
    assert content == Content("Hello, A<da!", "Hello A<da", "<b>A&lt;da</b>")


def test_the_locale_chooses_the_words(templates: Templates) -> None:
    content = content_of(templated(data={"name": "Ada"}, locale="pt-BR"), EMAIL, templates)
    assert (content.subject, content.text) == ("Olá Ada", "Olá, Ada!")


def test_another_channel_reads_other_parts(templates: Templates) -> None:
    notification = SmsNotification(
        recipient="+14155550123", template="welcome", data={"name": "Ada"}
    )
    assert content_of(notification, SMS, templates) == Content("Hi Ada")


def rejected(notification: Notification, templates: Templates) -> Rejected:
    with pytest.raises(Rejected) as caught:
        content_of(notification, EMAIL, templates)
    return caught.value


def test_a_missing_template_is_rejected_by_its_name(templates: Templates) -> None:
    error = rejected(email(subject=None, body=None, template="wellcome"), templates)
    assert "wellcome" in error.message
    assert (error.provider, error.code) == ("templates", "TemplateNotFound")


def test_a_missing_variable_is_rejected_by_its_name(templates: Templates) -> None:
    error = rejected(templated(data={"nmae": "Ada"}), templates)
    assert "name" in error.message
    assert (error.provider, error.code) == ("templates", "MissingVariable")


def test_a_missing_part_is_rejected(templates: Templates, tmp_path: Path) -> None:
    (tmp_path / "welcome" / "default" / "text.j2").unlink()
    (tmp_path / "welcome" / "pt" / "text.j2").unlink()
    error = rejected(templated(data={"name": "Ada"}), Templates(tmp_path))
    assert "text" in error.message


def test_a_broken_template_is_rejected_and_not_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "welcome" / "default"
    folder.mkdir(parents=True)
    (folder / "subject.j2").write_text("{{ name ")
    (folder / "text.j2").write_text("fine")
    error = rejected(templated(data={"name": "Ada"}), Templates(tmp_path))
    assert "subject.j2" in error.message
