"""An unknown variable with our prefix is reported, with the most similar known one."""

import pytest

from tidings.settings import Settings
from tidings.settings.variables import unknown, variables


def found(**environment: str) -> dict[str, str | None]:
    return {variable.name: variable.nearest for variable in unknown(Settings(), environment)}


def test_a_misspelt_variable_is_told_from_its_neighbour() -> None:
    assert found(TIDINGS_EMIAL_HOST="mx", PATH="/bin") == {
        "TIDINGS_EMIAL_HOST": "TIDINGS_EMAIL_HOST"
    }
    (variable,) = unknown(Settings(), {"TIDINGS_EMAIL_HOSTS": "mx"})
    assert (
        variable.message
        == "TIDINGS_EMAIL_HOSTS is set, but Tidings has no such variable; did you mean TIDINGS_EMAIL_HOST?"
    )


def test_a_variable_like_none_is_told_alone() -> None:
    assert found(TIDINGS_XYZZY="1") == {"TIDINGS_XYZZY": None}


def test_every_variable_there_is_is_known() -> None:
    names = {variable.name: "x" for variable in variables(Settings())}
    files = {
        "TIDINGS_EMAIL_PASSWORD_FILE": "x",
        "TIDINGS_AMQP_URL_FILE": "x",
        "TIDINGS_SECRETS_DIR": "x",
    }
    assert found(**names, **files) == {}


def test_a_fallback_s_variables_are_known_once_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TIDINGS_EMAIL_BACKUP_HOST" in found(TIDINGS_EMAIL_BACKUP_HOST="mx")
    monkeypatch.setenv("TIDINGS_EMAIL_FALLBACKS", "backup")
    monkeypatch.setenv("TIDINGS_EMAIL_BACKUP_HOST", "mx")
    assert found(TIDINGS_EMAIL_BACKUP_HOST="mx", TIDINGS_EMAIL_BACKUP_PASSWORD_FILE="x") == {}


@pytest.mark.parametrize(
    "name",
    [
        "TIDINGS_SERVICE_HOST",
        "TIDINGS_SERVICE_PORT_HTTP",
        "TIDINGS_PORT",
        "TIDINGS_PORT_8000_TCP_ADDR",
        "TIDINGS_WORKER_SERVICE_HOST",
        "TIDINGS_TEST_AMQP_URL",
    ],
)
def test_what_kubernetes_and_our_tests_set_is_left_alone(name: str) -> None:
    assert found(**{name: "x"}) == {}
