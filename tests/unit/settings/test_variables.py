"""Every environment variable is told as an operator needs it: its meaning, its form, no secret."""

import pytest

from tidings.delivery.errors import ConfigurationError
from tidings.settings import Settings, sections
from tidings.settings.variables import HIDDEN, Variable, variables


def described() -> dict[str, Variable]:
    return {variable.name: variable for variable in variables(Settings())}


def test_every_variable_has_a_meaning_of_its_own_or_inherited() -> None:
    assert [name for name, variable in described().items() if not variable.meaning] == []


def test_there_is_one_for_every_field_of_every_section() -> None:
    assert len(described()) == sum(len(section.model_fields) for section in sections())


def test_a_default_can_be_written_into_the_environment_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = described()
    for name, variable in before.items():
        if HIDDEN not in variable.default:
            monkeypatch.setenv(name, variable.default)
    after = described()
    assert {name: variable.value for name, variable in after.items()} == {
        name: variable.default for name, variable in before.items()
    }
    assert after["TIDINGS_SMS_RETRY"].is_set
    assert not before["TIDINGS_SMS_RETRY"].is_set


@pytest.mark.parametrize(
    ("name", "written", "shown"),
    [
        ("TIDINGS_AMQP_TIMEOUT", "90s", "1m30s"),
        ("TIDINGS_AMQP_TIMEOUT", "500ms", "500ms"),
        ("TIDINGS_IDEMPOTENCY_WINDOW", "36h", "1d12h"),
        ("TIDINGS_EMAIL_RATE", "50/s", "50/s"),
        ("TIDINGS_EMAIL_RETRY", "5s, 2m", "5s 2m"),
        ("TIDINGS_EMAIL_LOW_SHARE", "0.25", "0.25"),
        ("TIDINGS_WEBHOOK_ENABLED", "no", "false"),
        ("TIDINGS_CATEGORIES", '{"a": {"expires_after": "2h"}}', '{"a": {"expires_after": "2h"}}'),
        ("TIDINGS_EMAIL_PASSWORD", "hunter2", HIDDEN),
        ("TIDINGS_ALERT_URL", "slack://hunter2/x", HIDDEN),
        (
            "TIDINGS_AMQP_URL",
            "amqp://me:hunter2@a/v,amqp://me:hunter2@b/v",
            f"amqp://me:{HIDDEN}@a/v amqp://me:{HIDDEN}@b/v",
        ),
        (
            "TIDINGS_DATABASE_URL",
            "postgresql://me@db/tidings?password=hunter2&sslmode=require",
            f"postgresql://me@db/tidings?password={HIDDEN}&sslmode=require",
        ),
    ],
)
def test_a_value_is_shown_as_people_write_it_without_what_is_secret_in_it(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str, shown: str
) -> None:
    monkeypatch.setenv(name, written)
    assert described()[name].value == shown
    assert described()[name].is_set


def test_a_wrong_value_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_AMQP_HEARTBEAT", "often")
    with pytest.raises(ConfigurationError, match="TIDINGS_AMQP_HEARTBEAT"):
        described()


@pytest.mark.parametrize(
    ("amqp", "management"),
    [
        ("amqp://me:secret@broker:5673/v", "http://me:secret@broker:15672"),
        ("amqps://me:se%2Fcret@broker/", "https://me:se%2Fcret@broker:15671"),
        ("amqp://localhost", "http://guest:guest@localhost:15672"),
        ("amqp://[::1]:5672", "http://guest:guest@[::1]:15672"),
    ],
)
def test_the_management_api_is_where_the_broker_is_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, amqp: str, management: str
) -> None:
    monkeypatch.setenv("TIDINGS_AMQP_URL", amqp)
    assert Settings().broker.management == management
    monkeypatch.setenv("TIDINGS_MANAGEMENT_URL", "http://other:1")
    assert Settings().broker.management == "http://other:1"


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("TIDINGS_AMQP_URL", "amqp://127.0.0.1:99999", "write it like amqp://"),
        ("TIDINGS_AMQP_URL", "amqp://127.0.0.1:0", "write it like amqp://"),
        ("TIDINGS_DATABASE_URL", "postgresql://db:99999/x", "write it like postgresql://"),
        ("TIDINGS_MANAGEMENT_URL", "localhost:15672", "write it like http://"),
        ("TIDINGS_MANAGEMENT_URL", "http://:15672", "write it like http://"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_with_one_that_does(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str, expected: str
) -> None:
    monkeypatch.setenv(name, written)
    with pytest.raises(ConfigurationError, match=f"{name}: {expected}"):
        described()


def test_several_hosts_of_one_database_are_well(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://me@a:5432,b:5433/tidings?target_session_attrs=read-write"
    monkeypatch.setenv("TIDINGS_DATABASE_URL", url)
    assert described()["TIDINGS_DATABASE_URL"].value == url
