"""The work that all peers do alike: read, send, record. Each brings its own way of getting messages."""

import os
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP

import jinja2

from tidings_events import EmailNotification, parse


class TemporaryFailure(Exception):
    """The first attempt failed; it is worth another one."""


@dataclass(frozen=True)
class Settings:
    """What the harness says."""

    amqp_url: str = os.environ.get("BENCH_AMQP_URL", "")
    database_url: str = os.environ.get("BENCH_DATABASE_URL", "")
    queues: tuple[str, ...] = tuple(os.environ.get("BENCH_QUEUES", "").split())
    at_once: int = int(os.environ.get("BENCH_AT_ONCE", "1"))
    prefetch: int = int(os.environ.get("BENCH_PREFETCH", "1"))
    smtp_port: int = int(os.environ.get("BENCH_SMTP_PORT", "0"))
    slowness: float = float(os.environ.get("BENCH_SLOWNESS", "0"))
    retry_after: int = int(os.environ.get("BENCH_RETRY_AFTER", "5"))
    templates: str = os.environ.get("BENCH_TEMPLATES", "")


SETTINGS = Settings()

RECORD = """
WITH notification AS (
    INSERT INTO peer_notifications (id, channel, priority, category, recipient, payload, state)
    VALUES ({0}, {1}, {2}, {3}, {4}, {5}, {6})
    ON CONFLICT (id) DO UPDATE SET state = excluded.state
)
INSERT INTO peer_attempts (notification_id, attempt, started_at, duration_ms, state)
VALUES ({0}, {7}, {8}, {9}, {6})
"""
"""Both rows in one statement, which is one transaction and one round trip."""


def read(text: str | bytes) -> EmailNotification:
    """The notification, validated by the model that Tidings uses."""
    notification = parse(text if isinstance(text, bytes) else text.encode())
    assert isinstance(notification, EmailNotification)
    return notification


def fails(notification: EmailNotification, attempt: int) -> bool:
    """Whether this attempt is one that the harness wants to fail."""
    return attempt == 1 and str(notification.recipient).startswith("fail-")


def columns(notification, text, state, attempt, started_at, duration):
    """The values of `RECORD`."""
    return (
        notification.id,
        notification.channel,
        str(notification.priority),
        notification.category,
        str(notification.recipient),
        text if isinstance(text, str) else text.decode(),
        state,
        attempt,
        started_at,
        duration * 1000,
    )


class Mails:
    """Writes a two-part mail from a template, as the standard library's documentation shows it."""

    def __init__(self) -> None:
        loader = jinja2.FileSystemLoader(SETTINGS.templates)
        self._templates = jinja2.Environment(
            loader=loader, autoescape=False, undefined=jinja2.StrictUndefined
        )
        self._html = self._templates.overlay(autoescape=True)

    def mail(self, notification: EmailNotification) -> EmailMessage:
        """The mail for a notification."""
        name, data = f"{notification.template}/default", notification.data
        mail = EmailMessage(policy=SMTP)
        mail["From"] = "The shop <no-reply@example.com>"
        mail["To"] = str(notification.recipient)
        mail["Subject"] = self._templates.get_template(f"{name}/subject.j2").render(data).strip()
        mail["Message-ID"] = f"<{notification.id}@example.com>"
        mail.set_content(self._templates.get_template(f"{name}/text.j2").render(data))
        html = self._html.get_template(f"{name}/html.j2").render(data)
        mail.add_alternative(html, subtype="html")
        return mail
