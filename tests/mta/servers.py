"""All servers, and which tests each is put through."""

from typing import Final

import pytest
from tests.mta.exim import Exim
from tests.mta.haraka import Haraka
from tests.mta.maildev import MailDev
from tests.mta.opensmtpd import OpenSmtpd
from tests.mta.postfix import Postfix
from tests.mta.sendmail import Sendmail
from tests.mta.server import MailServer, Row
from tests.mta.smtp_server import SmtpServer

SERVERS: Final[tuple[type[MailServer], ...]] = (
    Postfix, Exim, OpenSmtpd, Sendmail, Haraka, SmtpServer, MailDev,
)  # fmt: skip


def every_server(row: Row | None = None) -> pytest.MarkDecorator:
    """Run the test with every server that can be made to do this."""
    able = [kind for kind in SERVERS if row is None or row in kind.rows]
    return pytest.mark.parametrize("server", able, ids=lambda kind: kind.name, indirect=True)


def every_refusal() -> pytest.MarkDecorator:
    """Run the test with every way that a server has of refusing us."""
    ways = [(kind, way) for kind in SERVERS for way in kind.refusals]
    ids = [f"{kind.name}-{way}" for kind, way in ways]
    return pytest.mark.parametrize(("server", "way"), ways, ids=ids, indirect=["server"])
