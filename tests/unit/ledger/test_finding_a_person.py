"""Whose message is it: the person's who is to be erased, or another's whose address has theirs in it?"""

import json

import pytest

from tidings.ledger.erasure import Person
from tidings.operations.masks import PEOPLE

AN, NUMBER, HOOK = "an@example.com", "+14155550123", "https://hooks.example.com/an"


@pytest.mark.parametrize(
    ("recipient", "fields"),
    [
        (AN, {"recipient": AN}),
        (AN, {"recipient": "an@EXAMPLE.com"}),
        ("an@Example.COM", {"recipient": AN}),
        (AN, {"cc": ["dan@example.com", AN]}),
        (AN, {"bcc": [AN]}),
        (AN, {"reply_to": AN}),
        (AN, {"html": f"<a href='mailto:{AN}?subject=x'>"}),
        (AN, {"data": {"list": [f"ask {AN}."]}}),
        (AN, {"data": {AN: 1}}),
        ("jürgen@example.com", {"cc": ["jürgen@example.com"]}),
        ("jürgen@example.com", {"body": "jürgen@example.com"}),
        ("anna@müller.example", {"cc": ["anna@xn--mller-kva.example"]}),
        (NUMBER, {"body": f"call {NUMBER}."}),
        (HOOK, {"body": f"({HOOK})"}),
    ],
)
def test_a_message_is_theirs_if_a_field_or_a_text_has_their_address(
    recipient: str, fields: dict[str, object]
) -> None:
    person = Person(recipient, fields=PEOPLE)
    body = json.dumps(fields).encode()
    assert person.is_in(body)
    assert person.longest_word.encode() in body


@pytest.mark.parametrize(
    ("recipient", "fields"),
    [
        (AN, {"recipient": "dan@example.com"}),
        (AN, {"recipient": "AN@example.com"}),
        (AN, {"cc": ["susan@example.com", "an@example.com.au", "an@example.community"]}),
        (AN, {"body": "dan@example.com, x.an@example.com, o'an@example.com, an@example.com.au"}),
        (AN, {"body": "an@example-com.net"}),
        ("an", {"body": "write to an", "cc": ["an@example.com"]}),
        (NUMBER, {"body": f"{NUMBER}4, 1{NUMBER}"}),
        (HOOK, {"recipient": f"{HOOK}na", "body": f"{HOOK}/2 {HOOK}?a"}),
    ],
)
def test_a_message_is_another_s_whose_address_only_has_theirs_in_it(
    recipient: str, fields: dict[str, object]
) -> None:
    assert not Person(recipient, fields=PEOPLE).is_in(json.dumps(fields).encode())


def test_a_message_that_is_no_json_is_searched_as_a_text() -> None:
    assert Person(AN).is_in(b'{"recipient": "an@example.com", \xff')
    assert not Person(AN).is_in(b'{"recipient": "dan@example.com", \xff')
    assert Person(user_id="7").is_in(b'{"user_id": "7", \xff')
    assert not Person(user_id="7").is_in(b'{"user_id": "71", "body": "7" \xff')


def test_a_user_is_compared_as_a_field_and_not_looked_for_in_texts() -> None:
    assert Person(user_id="7").is_in(b'{"user_id": "7"}')
    assert not Person(user_id="7").is_in(b'{"user_id": "71", "body": "7"}')
