"""Every variable is read where it belongs, and a wrong one is named."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from tidings.channels.email.settings import EmailSettings
from tidings.channels.fallbacks import RESERVED
from tidings.channels.registry import SPECS
from tidings.channels.sms.settings import SmsSettings
from tidings.channels.twilio.settings import TwilioSettings
from tidings.channels.whatsapp.settings import WhatsAppSettings
from tidings.delivery.delay import Delay
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.retry_policy import Guarantee
from tidings.runtime.secret_files import secret_names
from tidings.settings import CategorySettings, Settings, sections
from tidings.settings.variables import variables

MakeSettings = Callable[..., Settings]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> MakeSettings:
    """`environment(TIDINGS_GRACE="5s")`: settings read from these variables and no others."""
    for name in list(os.environ):
        if name.startswith("TIDINGS_"):
            monkeypatch.delenv(name)

    def read(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Settings()

    return read


SECRET = SecretStr("hunter2")
PER_CHANNEL: dict[str, tuple[str, Any]] = {
    "concurrency": ("7", 7),
    "prefetch": ("11", 11),
    "send_timeout": ("45s", 45.0),
    "rate": ("100/m", pytest.approx(100 / 60)),
    "retry": ("5s, 2m 1h", (Delay(5), Delay(120), Delay(3600))),
    "guarantee": ("at_most_once", Guarantee.AT_MOST_ONCE),
    "low_share": ("0.25", 0.25),
    "circuit_failures": ("7", 7),
    "circuit_share": ("0.6", 0.6),
    "circuit_window": ("2m", 120.0),
    "circuit_minimum": ("30", 30),
    "circuit_probe": ("1m30s", 90.0),
}
TWILIO_SENDER: dict[str, tuple[str, Any]] = {
    "sender": ("+15005550006", "+15005550006"),
    "messaging_service_sid": ("MG1", "MG1"),
    "fallbacks": ("ireland", ("ireland",)),
}
AT_LEAST_ONCE = {"guarantee": ("at_least_once", Guarantee.AT_LEAST_ONCE)}
WRITTEN: dict[str, dict[str, tuple[str, Any]]] = {
    "BrokerSettings": {
        "amqp_url": (
            "amqp://me:hunter2@a:5672/v%2Fw, amqps://b",
            (SecretStr("amqp://me:hunter2@a:5672/v%2Fw"), SecretStr("amqps://b")),
        ),
        "amqp_heartbeat": ("60", 60),
        "amqp_timeout": ("500ms", 0.5),
        "amqp_ca_file": ("/etc/ca.pem", Path("/etc/ca.pem")),
        "amqp_backoff_max": ("2m", 120.0),
        "management_url": ("http://me:x@host:15672", SecretStr("http://me:x@host:15672")),
    },
    "LedgerSettings": {
        "database_url": (
            "postgresql://me:hunter2@a:5432,b:5433/tidings?sslmode=verify-full",
            SecretStr("postgresql://me:hunter2@a:5432,b:5433/tidings?sslmode=verify-full"),
        ),
        "sealing_keys": (
            f"{'A' * 43}=, {'B' * 43}=",
            (SecretStr(f"{'A' * 43}="), SecretStr(f"{'B' * 43}=")),
        ),
        "database_pool_size": ("12", 12),
        "database_timeout": ("3s", 3.0),
        "batch_size": ("500", 500),
        "idempotency_window": ("14d", 14 * 86_400.0),
        "requeue_after": ("1h", 3600.0),
        "inbox_keep_read": ("7d", 7 * 86_400.0),
        "inbox_keep_unread": ("0", 0.0),
        "rollup_retention": ("90d", 90 * 86_400.0),
        "retention": ("90d", 90 * 86_400.0),
        "retention_by_state": ('{"failed": "90d"}', {"failed": 90 * 86_400.0}),
        "retention_by_tenant": (
            '{"acme": "90d", "shop": {"*": "7d", "failed": "0"}}',
            {"acme": {"*": 90 * 86_400.0}, "shop": {"*": 7 * 86_400.0, "failed": 0.0}},
        ),
    },
    "WorkerSettings": {
        "categories": (
            '{"marketing": {"retry": "1h 2h", "expires_after": "1d"}}',
            {"marketing": CategorySettings(retry=(Delay(3600), Delay(7200)), expires_after=86_400)},
        ),
        "templates_root": ("/srv/templates", Path("/srv/templates")),
        "lease_margin": ("10s", 10.0),
        "grace": ("1m", 60.0),
        "buffer_mib": ("128", 128),
        "http_host": ("0.0.0.0", "0.0.0.0"),  # noqa: S104  # only read
        "http_port": ("0", 0),
        "log_level": ("debug", "debug"),
        "log_format": ("json", "json"),
    },
    "EmailSettings": PER_CHANNEL
    | {
        "host": ("relay.example.com", "relay.example.com"),
        "port": ("465", 465),
        "tls": ("implicit", "implicit"),
        "ca_file": ("/etc/ca.pem", Path("/etc/ca.pem")),
        "username": ("me", "me"),
        "password": ("hunter2", SECRET),
        "sender": ("Example <no-reply@example.com>", "Example <no-reply@example.com>"),
        "helo": ("mail.example.com", "mail.example.com"),
        "connections": ("3", 3),
        "messages_per_connection": ("50", 50),
        "pipelining": ("false", False),
        "fallbacks": ("backup, relay2", ("backup", "relay2")),
    },
    "SmsSettings": PER_CHANNEL | AT_LEAST_ONCE | TWILIO_SENDER,
    "WhatsAppSettings": PER_CHANNEL | AT_LEAST_ONCE | TWILIO_SENDER,
    "WebhookSettings": PER_CHANNEL
    | {
        "enabled": ("false", False),
        "secret": ("hunter2", SECRET),
        "allow_private": ("1", True),
        "max_response": ("0", 0),
    },
    "TwilioSettings": {
        "account_sid": ("AC1", "AC1"),
        "auth_token": ("hunter2", SECRET),
        "api_key": ("SK1", "SK1"),
        "api_secret": ("hunter2", SECRET),
        "base_url": ("http://127.0.0.1:9", "http://127.0.0.1:9"),
        "status_callback": ("https://example.com/receipts", "https://example.com/receipts"),
    },
    "OutboxSettings": {
        "dsn": (
            "postgresql://relay:hunter2@db.example.com/shop",
            SecretStr("postgresql://relay:hunter2@db.example.com/shop"),
        ),
        "keep": ("1d", 86_400.0),
        "poll": ("200ms", 0.2),
        "app_id": ("shop", "shop"),
    },
    "AlertSettings": {
        "url": ("hunter2", SECRET),
        "channel": ("email", "email"),
        "rules": ("false", False),
        "recipient": ("ops@example.com", "ops@example.com"),
        "every": ("5m", 300.0),
    },
    "ConsoleSettings": {
        "enabled": ("false", False),
        "url": ("https://t.example.com/", "https://t.example.com"),
        "session": ("8h", 28_800.0),
        "idle": ("30m", 1_800.0),
        "api_keys": ("false", False),
        "oidc_issuer": ("https://login.example.com/x", "https://login.example.com/x"),
        "oidc_client_id": ("tidings", "tidings"),
        "oidc_client_secret": ("hunter2", SECRET),
        "oidc_scopes": ("openid, groups", ("openid", "groups")),
        "oidc_name": ("Example Login", "Example Login"),
        "oidc_name_claim": ("email", "email"),
        "oidc_roles_claim": ("realm_access.roles", "realm_access.roles"),
        "oidc_roles": ('{"sre": "admin"}', {"sre": "admin"}),
        "oidc_tenant_claim": ("org", "org"),
    },
    "McpSettings": {"api_key": ("hunter2", SECRET)},
    "ApiSettings": {
        "listen": ("[::]:9000", "[::]:9000"),
        "rate_limit": ("100/s", 100.0),
        "user_rate_limit": ("5/s", 5.0),
        "origins": ("https://a.example http://b:1", ("https://a.example", "http://b:1")),
        "max_body_mib": ("4", 4),
        "max_bodies_mib": ("64", 64),
        "max_requests": ("10", 10),
        "live_connections": ("5000", 5000),
        "live_connections_of_user": ("3", 3),
        "keys_kept": ("1h", 3600.0),
        "jwt_secret": ("hunter2", SECRET),
        "jwt_public_key": ("-----BEGIN", "-----BEGIN"),
        "jwt_keys_url": ("https://example.com/k", "https://example.com/k"),
        "jwt_issuer": ("https://example.com", "https://example.com"),
        "jwt_audience": ("tidings", "tidings"),
        "jwt_tenant_claim": ("org", "org"),
    },
}


def written(field: FieldInfo) -> tuple[str, Any]:
    """How a variable of a kind that several channels have is written, and what is read."""
    match field.annotation:
        case kind if kind is SecretStr:
            return "hunter2", SECRET
        case kind if kind is bool:
            return str(not field.default), not field.default
        case kind if kind is int:
            return str(field.default + 1), field.default + 1
        case _:
            return "https://example.com", "https://example.com"


# A channel whose variables are all of these kinds needs no lines above.
WRITTEN |= {
    spec.settings.__name__: PER_CHANNEL
    | {
        name: written(field)
        for name, field in spec.settings.model_fields.items()
        if name not in PER_CHANNEL
    }
    for spec in SPECS.values()
    if spec.settings.__name__ not in WRITTEN
}
BY_NAME = {section.__name__: section for section in sections()}
EVERY_VARIABLE = [
    pytest.param(section, field, *values, id=f"{section}.{field}")
    for section, fields in WRITTEN.items()
    for field, values in fields.items()
]


def section_of(settings: Settings, name: str) -> Any:
    """The section of this class, as the service gets at it."""
    parts = [
        settings.broker,
        settings.ledger,
        settings.worker,
        settings.outbox,
        settings.alerting,
        settings.api,
        settings.console,
        settings.mcp,
        *settings.channels.values(),
        *settings.accounts.values(),
    ]
    return next(part for part in parts if type(part).__name__ == name)


def variable(section: str, field: str) -> str:
    return f"{BY_NAME[section].model_config['env_prefix']}{field}".upper()


def test_the_table_below_has_every_variable() -> None:
    assert {name: set(fields) for name, fields in WRITTEN.items()} == {
        section.__name__: set(section.model_fields) for section in sections()
    }


@pytest.mark.parametrize(("section", "field", "written", "read"), EVERY_VARIABLE)
def test_each_variable_is_read_from_the_environment(
    environment: MakeSettings, section: str, field: str, written: str, read: object
) -> None:
    settings = environment(**{variable(section, field): written})
    assert getattr(section_of(settings, section), field) == read


@pytest.mark.parametrize(("section", "field", "written", "read"), EVERY_VARIABLE)
def test_no_default_is_what_the_table_writes(
    environment: MakeSettings, section: str, field: str, written: str, read: object
) -> None:
    assert getattr(section_of(environment(), section), field) != read


def test_a_variable_of_one_channel_changes_no_other(environment: MakeSettings) -> None:
    before = environment().channels
    channels = environment(TIDINGS_SMS_CONCURRENCY="7").channels
    assert {name: channel.concurrency for name, channel in channels.items()} == {
        name: 7 if name == "sms" else before[name].concurrency for name in SPECS
    }


def test_a_variable_that_is_empty_is_the_default(environment: MakeSettings) -> None:
    settings = environment(TIDINGS_GRACE="", TIDINGS_EMAIL_RATE="", TIDINGS_AMQP_URL="")
    assert settings.worker.grace == 45.0
    assert settings.channels["email"].rate is None
    assert settings.broker.urls == ("amqp://guest:guest@localhost:5672/",)


def test_everything_has_a_default(environment: MakeSettings) -> None:
    assert environment().check().worker.grace == 45.0


def test_sections_can_t_be_changed(environment: MakeSettings) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        environment().worker.grace = 1.0  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("TIDINGS_AMQP_URL", ",", "must name at least 1"),
        ("TIDINGS_AMQP_URL", "localhost", "amqp://user:password@host:5672/vhost"),
        ("TIDINGS_AMQP_URL", "http://localhost", "amqp://user:password@host:5672/vhost"),
        ("TIDINGS_AMQP_URL", "amqp://a:hunter2@host:port", "amqp://user:password@host:5672/vhost"),
        ("TIDINGS_AMQP_URL", "amqp://a,amqp:///v", "amqp://user:password@host:5672/vhost"),
        ("TIDINGS_AMQP_HEARTBEAT", "1", "must be at least 5"),
        ("TIDINGS_AMQP_TIMEOUT", "15", "30s, 2m, 1h30m or 7d"),
        ("TIDINGS_AMQP_TIMEOUT", "0s", "must be greater than 0"),
        ("TIDINGS_AMQP_TIMEOUT", f"{'9' * 400}d", "finite"),
        ("TIDINGS_DATABASE_URL", "localhost", "postgresql://user:password@host:5432/database"),
        (
            "TIDINGS_DATABASE_URL",
            "postgresql://a:hunter2@host:port/db",
            "postgresql://user:password@host:5432/database",
        ),
        ("TIDINGS_BATCH_SIZE", "0", "must be at least 1"),
        ("TIDINGS_BATCH_SIZE", "many", "must be a whole number"),
        ("TIDINGS_CATEGORIES", "otp: 5s", "it is not JSON"),
        ("TIDINGS_CATEGORIES", '{"otp": {"retry": 5}}', "otp.retry must be a list"),
        ("TIDINGS_CATEGORIES", '{"otp": {"retry": "soon"}}', "soon"),
        ("TIDINGS_CATEGORIES", '{"otp": {"retries": "5s"}}', "otp.retries is not known here"),
        ("TIDINGS_EMAIL_RETRY", "1m 2 4m", "'2' is not a length of time"),
        ("TIDINGS_EMAIL_RETRY", "500ms", "whole number of seconds"),
        ("TIDINGS_EMAIL_RETRY", "8d", "between 1s and 7d"),
        ("TIDINGS_EMAIL_RETRY", " ", "at least 1"),
        ("TIDINGS_EMAIL_RATE", "fast/s", "50/s, 100/m or 1000/h"),
        ("TIDINGS_EMAIL_RATE", "0/s", "greater than 0"),
        ("TIDINGS_EMAIL_RATE", "5/d", "must be a number"),
        ("TIDINGS_EMAIL_TLS", "ssl", "must be none or starttls or implicit"),
        ("TIDINGS_EMAIL_LOW_SHARE", "0.6", "must be at most 0.5"),
        ("TIDINGS_SMS_GUARANTEE", "exactly_once", "at_least_once"),
        ("TIDINGS_WEBHOOK_ENABLED", "perhaps", "must be true or false"),
        ("TIDINGS_HTTP_PORT", "65536", "65535"),
        ("TIDINGS_LOG_LEVEL", "loud", "must be debug or info or warning or error"),
        ("TIDINGS_ALERT_EVERY", "-5m", "length of time"),
        ("TIDINGS_SECRETS_DIR", "/dev/null/none", "/dev/null/none is not a folder"),
    ],
)
def test_a_wrong_value_is_refused_by_its_variable_s_name(
    environment: MakeSettings, name: str, value: str, wanted: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        environment(**{name: value}).check()
    assert str(caught.value).startswith(f"{name}: ")
    assert wanted in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert not re.search(r"[Ii]nput|String should|Value should", str(caught.value))


def test_every_wrong_value_of_a_section_is_named_at_once(environment: MakeSettings) -> None:
    with pytest.raises(ConfigurationError, match=r"TIDINGS_GRACE: .*; TIDINGS_LOG_LEVEL: "):
        _ = environment(TIDINGS_GRACE="long", TIDINGS_LOG_LEVEL="loud").worker


def test_a_section_that_nobody_asks_for_is_not_read(environment: MakeSettings) -> None:
    assert environment(TIDINGS_TWILIO_BASE_URL="x", TIDINGS_GRACE="long").broker.urls


def test_a_secret_may_be_a_file(environment: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "tidings_email_password").write_text("hunter2\n")
    (tmp_path / "tidings_amqp_url").write_text("amqp://me:hunter2@host/")
    settings = environment(TIDINGS_SECRETS_DIR=str(tmp_path))
    assert section_of(settings, "EmailSettings").password == SECRET
    assert settings.broker.urls == ("amqp://me:hunter2@host/",)


SECRETS = [
    pytest.param(section, field, name, id=name)
    for section in sections()
    for field, name in secret_names(section)
]


def test_what_is_hidden_is_what_may_be_a_file() -> None:
    assert {name for *_, name in (param.values for param in SECRETS)} >= {
        "TIDINGS_AMQP_URL",
        "TIDINGS_DATABASE_URL",
        "TIDINGS_EMAIL_PASSWORD",
        "TIDINGS_ALERT_URL",
        "TIDINGS_MANAGEMENT_URL",
        "TIDINGS_TWILIO_API_SECRET",
        "TIDINGS_TWILIO_AUTH_TOKEN",
        "TIDINGS_WEBHOOK_SECRET",
    }


@pytest.mark.parametrize(("section", "field", "name"), SECRETS)
def test_every_secret_may_be_a_file_of_any_name(
    environment: MakeSettings, tmp_path: Path, section: type, field: str, name: str
) -> None:
    text, value = WRITTEN[section.__name__][field]
    path = tmp_path / "some-secret"
    path.write_text(f"{text}\n")
    settings = environment(**{f"{name}_FILE": str(path)})
    assert getattr(section_of(settings, section.__name__), field) == value


def test_a_secret_given_twice_is_refused(environment: MakeSettings, tmp_path: Path) -> None:
    given = {"TIDINGS_EMAIL_PASSWORD": "hunter2", "TIDINGS_EMAIL_PASSWORD_FILE": str(tmp_path)}
    with pytest.raises(ConfigurationError, match="unset one of them") as caught:
        environment(**given).check()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_holds_no_secret_is_refused_by_its_variable(
    environment: MakeSettings, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"^TIDINGS_DATABASE_URL_FILE: "):
        environment(TIDINGS_DATABASE_URL_FILE=str(path)).check()


def test_a_variable_wins_over_a_file(environment: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "TIDINGS_GRACE").write_text("5s")
    settings = environment(TIDINGS_SECRETS_DIR=str(tmp_path), TIDINGS_GRACE="7s")
    assert settings.worker.grace == 7.0


def test_secrets_don_t_show(environment: MakeSettings) -> None:
    settings = environment(
        TIDINGS_AMQP_URL="amqp://me:hunter2@host/",
        TIDINGS_DATABASE_URL="postgresql://me:hunter2@host/db",
        TIDINGS_EMAIL_PASSWORD="hunter2",
    )
    assert "hunter2" not in repr([settings.broker, settings.ledger, settings.channels])


# What the sections mean together.


def test_a_channel_s_policy_is_its_section_s(environment: MakeSettings) -> None:
    settings = environment(
        TIDINGS_EMAIL_RETRY="5s 10s",
        TIDINGS_EMAIL_SEND_TIMEOUT="9s",
        TIDINGS_EMAIL_GUARANTEE="at_most_once",
    )
    policy = settings.policy("email", "transactional")
    assert policy.retry.delays == (Delay(5), Delay(10))
    assert policy.send_timeout == 9.0
    assert policy.guarantee is Guarantee.AT_MOST_ONCE
    assert policy.expires_after is None


def test_messages_that_cost_are_sent_at_most_once_unless_told_otherwise(
    environment: MakeSettings,
) -> None:
    settings = environment()
    expected = {
        "email": Guarantee.AT_LEAST_ONCE,
        "webhook": Guarantee.AT_LEAST_ONCE,
        "sms": Guarantee.AT_MOST_ONCE,
        "whatsapp": Guarantee.AT_MOST_ONCE,
    }
    assert {name: settings.policy(name, "x").guarantee for name in expected} == expected


def test_a_one_time_password_is_retried_soon_and_worthless_after_ten_minutes(
    environment: MakeSettings,
) -> None:
    policy = environment().policy("sms", "otp")
    assert [delay.name for delay in policy.retry.delays] == ["5s", "15s", "30s", "1m"]
    assert policy.expires_after == 600.0


def test_a_category_changes_what_it_names_and_leaves_the_rest(environment: MakeSettings) -> None:
    categories = {"news": {"expires_after": "1h"}, "alarm": {"retry": "1s"}, "once": {"retry": ""}}
    settings = environment(TIDINGS_CATEGORIES=json.dumps(categories), TIDINGS_EMAIL_RETRY="7s")
    news, alarm, once = (settings.policy("email", name) for name in categories)
    assert (news.retry.delays, news.expires_after) == ((Delay(7),), 3600.0)
    assert (alarm.retry.delays, alarm.expires_after) == ((Delay(1),), None)
    assert once.retry.delays == ()


def test_the_tiers_of_a_channel_are_all_delays_that_any_category_may_use(
    environment: MakeSettings,
) -> None:
    settings = environment(
        TIDINGS_EMAIL_RETRY="2m 60s 2m",
        TIDINGS_CATEGORIES='{"a": {"retry": "5s 1m"}, "b": {"expires_after": "1h"}}',
    )
    assert settings.delays("email") == (Delay(5), Delay(60), Delay(120))
    for category in ("a", "b", "c"):
        assert set(settings.policy("email", category).retry.delays) <= set(settings.delays("email"))


def test_a_channel_of_receivers_has_short_waits_for_what_is_not_asked(
    environment: MakeSettings,
) -> None:
    settings = environment(TIDINGS_WEBHOOK_RETRY="2m", TIDINGS_CATEGORIES="{}")
    assert settings.delays("webhook") == tuple(map(Delay, (2, 5, 10, 20, 40, 120)))
    assert settings.policy("webhook", "any").retry.delays == (Delay(120),)


def test_without_categories_a_channel_still_has_a_tier_to_park_in(
    environment: MakeSettings,
) -> None:
    settings = environment(TIDINGS_CATEGORIES="{}")
    assert all(settings.delays(channel) for channel in settings.channels)


@pytest.mark.parametrize(
    ("urls", "management"),
    [
        ("amqp://me:x@host:5673/v,amqp://other", "http://me:x@host:15672"),
        ("amqps://me:x@host", "https://me:x@host:15671"),
        ("amqp://[::1]:5672/", "http://guest:guest@[::1]:15672"),
    ],
)
def test_the_management_api_is_beside_the_first_broker_unless_told_otherwise(
    environment: MakeSettings, urls: str, management: str
) -> None:
    assert environment(TIDINGS_AMQP_URL=urls).broker.management == management


# Several providers for one channel.

TWO_RELAYS = {
    "TIDINGS_EMAIL_HOST": "one.example.com",
    "TIDINGS_EMAIL_TLS": "none",
    "TIDINGS_EMAIL_SENDER": "Example <no-reply@example.com>",
    "TIDINGS_EMAIL_USERNAME": "me",
    "TIDINGS_EMAIL_PASSWORD": "hunter2",
    "TIDINGS_EMAIL_CONNECTIONS": "3",
    "TIDINGS_EMAIL_FALLBACKS": "backup",
    "TIDINGS_EMAIL_BACKUP_HOST": "two.example.com",
    "TIDINGS_EMAIL_BACKUP_CIRCUIT_FAILURES": "4",
}


def test_a_fallback_has_a_way_and_a_login_of_its_own_and_is_else_like_the_preferred_one(
    environment: MakeSettings,
) -> None:
    settings = environment(**TWO_RELAYS).check()
    assert settings.providers("email") == ("primary", "backup")
    backup = settings.provider("email", "backup")
    assert isinstance(backup, EmailSettings)
    assert (backup.host, backup.tls, backup.username) == ("two.example.com", "starttls", "")
    assert backup.password.get_secret_value() == ""
    assert (backup.connections, backup.circuit.failures) == (3, 4)
    # Message-ID is made of the sender: it is the same whoever carries the mail.
    assert backup.sender == "Example <no-reply@example.com>"
    assert settings.provider("email", "primary") is settings.channels["email"]


def test_a_fallback_s_password_may_be_in_a_file(environment: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("swordfish\n")
    settings = environment(
        **TWO_RELAYS, TIDINGS_EMAIL_BACKUP_PASSWORD_FILE=str(tmp_path / "password")
    )
    backup = settings.provider("email", "backup")
    assert isinstance(backup, EmailSettings)
    assert backup.password.get_secret_value() == "swordfish"
    shown = {variable.name: variable.value for variable in variables(settings)}
    assert shown["TIDINGS_EMAIL_BACKUP_HOST"] == "two.example.com"
    assert "swordfish" not in str(shown)


def test_a_second_twilio_account_never_takes_the_first_one_s_credentials(
    environment: MakeSettings,
) -> None:
    settings = environment(
        TIDINGS_TWILIO_ACCOUNT_SID="AC1",
        TIDINGS_TWILIO_AUTH_TOKEN="hunter2",
        TIDINGS_SMS_SENDER="+15005550006",
        TIDINGS_SMS_FALLBACKS="second ireland",
        TIDINGS_SMS_SECOND_ACCOUNT_SID="AC2",
        TIDINGS_SMS_IRELAND_BASE_URL="https://api.dublin.ie1.twilio.com",
    )
    second, ireland = settings.account("sms", "second"), settings.account("sms", "ireland")
    assert (second.account_sid, second.auth_token.get_secret_value()) == ("AC2", "")
    assert (ireland.account_sid, ireland.auth_token) == ("AC1", SECRET)
    assert ireland.base_url == "https://api.dublin.ie1.twilio.com"
    sms = settings.provider("sms", "ireland")
    assert isinstance(sms, SmsSettings)
    assert sms.sender == "+15005550006"


@pytest.mark.parametrize(
    ("changed", "document"),
    [
        ({"TIDINGS_EMAIL_BACKUP_HOST": ""}, "TIDINGS_EMAIL_BACKUP_HOST: set it"),
        ({"TIDINGS_EMAIL_BACKUP_PORT": "99999"}, "TIDINGS_EMAIL_BACKUP_PORT: "),
        ({"TIDINGS_EMAIL_BACKUP_SENDER": "a@b.example"}, "TIDINGS_EMAIL_BACKUP_SENDER: unset it"),
        (
            {"TIDINGS_EMAIL_FALLBACKS": "backup backup"},
            "TIDINGS_EMAIL_FALLBACKS: a name occurs twice",
        ),
        ({"TIDINGS_EMAIL_FALLBACKS": "circuit"}, "'circuit' is not a valid name"),
        ({"TIDINGS_EMAIL_FALLBACKS": "primary"}, "'primary' is not a valid name"),
        ({"TIDINGS_EMAIL_FALLBACKS": "Backup"}, "'Backup' is not a valid name"),
    ],
)
def test_a_fallback_that_can_t_be_is_refused_by_its_variable(
    environment: MakeSettings, changed: dict[str, str], document: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(document)):
        environment(**{**TWO_RELAYS, **changed}).check()


def test_no_name_of_a_fallback_makes_two_variables_of_one_name() -> None:
    for section in (EmailSettings, SmsSettings, WhatsAppSettings, TwilioSettings):
        first_words = {name.split("_")[0] for name in section.model_fields if "_" in name}
        assert first_words <= RESERVED


@pytest.mark.parametrize(
    "variables",
    [
        {"RETENTION": "6d"},
        {"RETENTION_BY_STATE": '{"cancelled": "1d"}'},
        {"IDEMPOTENCY_WINDOW": "40d"},
    ],
)
def test_no_notification_is_deleted_before_its_idempotency_key(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"TIDINGS_{name}", value)
    with pytest.raises(ConfigurationError, match=r"TIDINGS_RETENTION.*TIDINGS_IDEMPOTENCY_WINDOW"):
        _ = Settings().ledger


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"ISSUER": "http://login.example.com"}, "OIDC_ISSUER: write the issuer's https:// URL"),
        ({"ISSUER": "https://login.example.com?x=1"}, "OIDC_ISSUER: write the issuer's https"),
        ({"ISSUER": "https://login.example.com"}, "set TIDINGS_CONSOLE_URL too"),
        ({"ROLES": '{"x": "king"}'}, "OIDC_ROLES: x must be 'viewer', 'support', 'operator' or"),
    ],
)
def test_a_provider_that_could_sign_nobody_in_is_named_before_anything_starts(
    environment: MakeSettings, given: dict[str, str], says: str
) -> None:
    named = {f"TIDINGS_CONSOLE_OIDC_{name}": value for name, value in given.items()}
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        environment(**named).check()


def test_whoever_takes_away_keys_needs_another_way_in(environment: MakeSettings) -> None:
    with pytest.raises(ConfigurationError, match="nobody could sign in to the console"):
        environment(TIDINGS_CONSOLE_API_KEYS="false").check()
