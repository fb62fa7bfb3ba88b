"""What is printed into HTML is escaped as markupsafe does it, whatever the value is."""

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup, escape

from tidings.templates.escaping import escaped

TEXT = st.text(st.sampled_from("&<>\"'") | st.characters())


@given(TEXT | st.integers() | st.floats() | st.booleans() | TEXT.map(Markup))
def test_every_value_is_escaped_as_the_library_does_it(value: object) -> None:
    assert escaped(value) == str(escape(value))
