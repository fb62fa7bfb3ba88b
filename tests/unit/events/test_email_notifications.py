"""What an email may carry beside its words: headers and attachments, and neither may break out."""

from typing import Any

import pytest
from pydantic import ValidationError

from tidings_events import Attachment, EmailNotification


def email(**fields: Any) -> EmailNotification:
    return EmailNotification(
        **{"recipient": "anna@example.org", "subject": "Hello", "body": "Hello", **fields}
    )


class TestEmailHeaders:
    @pytest.mark.parametrize(
        "name",
        ["From", "to", "CC", "Bcc", "Sender", "Reply-To", "Subject", "Date", "Message-ID",
         "MIME-Version", "Content-Type", "content-transfer-encoding", "Return-Path", "Received",
         "DKIM-Signature", "Resent-To", "ARC-Seal", "X-Tidings-Id"],
    )  # fmt: skip
    def test_a_header_that_structures_the_message_is_refused(self, name: str) -> None:
        with pytest.raises(ValidationError, match="which Tidings writes itself"):
            email(headers={name: "x"})

    @pytest.mark.parametrize(
        "name", ["", "X Campaign", "X:Campaign", "X-A\r\nBcc", "X-Ü", "a" * 77]
    )
    def test_a_name_that_is_no_token_is_refused(self, name: str) -> None:
        with pytest.raises(ValidationError, match="has a name that is not a header's"):
            email(headers={name: "x"})

    @pytest.mark.parametrize("value", ["a\r\nBcc: eve@example.org", "a\nb", "a\rb", "a\0b"])
    def test_a_value_cannot_start_a_header_of_its_own(self, value: str) -> None:
        with pytest.raises(ValidationError, match=r"headers\.X-A"):
            email(headers={"X-A": value})

    @pytest.mark.parametrize("name", ["List-Unsubscribe", "feedback-id", "References"])
    def test_a_header_that_programs_read_is_plain_ascii(self, name: str) -> None:
        with pytest.raises(ValidationError, match=f"characters in {name} that are not printable"):
            email(headers={name: "<https://example.com/ü>"})

    def test_a_header_is_given_once(self) -> None:
        with pytest.raises(ValidationError, match="names a header twice"):
            email(headers={"X-A": "1", "x-a": "2"})

    @pytest.mark.parametrize("subject", ["a\r\nBcc: eve@example.org", "a\nb", "a\rb"])
    def test_a_subject_is_one_line(self, subject: str) -> None:
        with pytest.raises(ValidationError, match="contains a line break"):
            email(subject=subject)


class TestAttachments:
    @pytest.mark.parametrize("name", ["", "a/b", "a\\b", "..", "a\nb", 'a"b', "x" * 256])
    def test_a_file_name_is_only_a_name(self, name: str) -> None:
        with pytest.raises(ValidationError, match="filename"):
            Attachment(filename=name, content=b"x")

    @pytest.mark.parametrize("content", ["aGVsbG8", "%%%%", "aGVs bG8=", "é"])
    def test_text_that_is_not_base64_is_refused(self, content: str) -> None:
        with pytest.raises(ValidationError, match="is not base64"):
            Attachment(filename="a", content=content)

    @pytest.mark.parametrize("kind", ["text", "multipart/mixed", "message/rfc822", "a/b; c=d"])
    def test_a_content_type_that_cannot_be_attached_is_refused(self, kind: str) -> None:
        with pytest.raises(ValidationError, match="content_type"):
            Attachment(filename="a", content=b"x", content_type=kind)

    def test_together_they_stay_within_seven_mebibytes(self) -> None:
        half = Attachment(filename="a", content=bytes(3_670_016))
        assert email(attachments=[half, half]).attachments
        with pytest.raises(ValidationError, match="attachments are 7,340,033 bytes together"):
            email(attachments=[half, half, Attachment(filename="b", content=b"x")])

    def test_there_are_at_most_twenty(self) -> None:
        with pytest.raises(ValidationError, match="attachments"):
            email(attachments=[Attachment(filename="a", content=b"x")] * 21)

    def test_a_content_id_names_one_of_them(self) -> None:
        logo = Attachment(filename="a", content=b"x", content_id="logo")
        with pytest.raises(ValidationError, match="use a `content_id` twice"):
            email(attachments=[logo, logo])

    @pytest.mark.parametrize("content_id", ["", "<logo>", "a b", "a\n"])
    def test_a_content_id_fits_in_a_cid_url(self, content_id: str) -> None:
        with pytest.raises(ValidationError, match="content_id"):
            Attachment(filename="a", content=b"x", content_id=content_id)
