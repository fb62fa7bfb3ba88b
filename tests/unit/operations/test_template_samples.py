"""The data with which a template is shown when nobody has given any."""

from tidings.operations.template_preview import samples


def test_samples_are_like_what_their_names_say() -> None:
    made = samples(("user.first_name", "user", "order.items[0].price", "link", "shop"))
    assert made == {
        "user": {"first_name": "Jane"},
        "order": {"items": {"price": 42.5}},
        "link": "https://example.com/42",
        "shop": "shop",
    }
