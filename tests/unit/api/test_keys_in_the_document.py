"""The OpenAPI document and `llms.txt` say which requests need a key, and what a test key is."""

from tests.support.api_document import described

from tidings.api import llms_txt
from tidings.api.routes import routes


def test_every_request_under_v1_needs_a_key_and_no_other() -> None:
    assert "Every request under `/v1` needs" in described()["info"]["description"]
    for route in routes():
        assert route.public is not route.path.startswith("/v1/"), route.path


def test_both_kinds_of_keys_are_named() -> None:
    for text in (described()["info"]["description"], llms_txt.text(described()).decode()):
        assert "test key" in text
        assert "tk_test_" in text
