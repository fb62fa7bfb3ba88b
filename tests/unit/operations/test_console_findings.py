"""The doctor says if the console's cookies may travel without TLS."""

import pytest

from tidings.operations.health import console_findings
from tidings.settings import Settings


@pytest.mark.parametrize(
    ("variables", "warned"),
    [
        ({}, False),
        ({"TIDINGS_API_LISTEN": "0.0.0.0:8000"}, True),
        (
            {
                "TIDINGS_API_LISTEN": "[::]:8000",
                "TIDINGS_CONSOLE_URL": "http://tidings.example.com",
            },
            True,
        ),
        (
            {
                "TIDINGS_API_LISTEN": "0.0.0.0:8000",
                "TIDINGS_CONSOLE_URL": "https://tidings.example.com",
            },
            False,
        ),
        ({"TIDINGS_API_LISTEN": "[::1]:8000"}, False),
        ({"TIDINGS_API_LISTEN": "localhost:8000"}, False),
        ({"TIDINGS_API_LISTEN": "0.0.0.0:8000", "TIDINGS_CONSOLE_ENABLED": "false"}, False),
    ],
)
def test_a_console_that_others_reach_should_be_known_to_have_tls(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], warned: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert bool(list(console_findings(Settings().check()))) is warned
