"""OpenSMTPD, which takes a hundred mails in one session unless told otherwise."""

from typing import ClassVar, Final

from tests.mta.folder import Folder
from tests.mta.server import DebianServer, Manners, Row

_SETTINGS: Final = """
smtp limit max-mails {mails}
table everybody {{ "@example.com" = "vmail" }}
table greylisted {{ "^deferred.*" }}
table full {{ "^full.*" }}
table anybody {{ ".*" }}
filter greylisting phase rcpt-to match rcpt-to regex <greylisted> reject "451 4.7.1 Greylisted, try again later"
filter quota phase rcpt-to match rcpt-to regex <full> reject "452 4.2.2 Mailbox full"
filter us phase rcpt-to match rcpt-to regex <anybody> reject "{refusal}"
filter all chain {{ {filters} }}
listen on 127.0.0.1 port {port} hostname mail.example.com filter all
action deliver maildir "/data/mail" virtual <everybody>
match from any for rcpt-to regex "^(good|deferred|full).*@example.com$" action deliver
"""
_QUOTA: Final = "550 5.4.5 Daily sending quota exceeded"


class OpenSmtpd(DebianServer):
    """Says `Invalid recipient` to whoever it has no mailbox for, at home or elsewhere."""

    name = "opensmtpd"
    rows = frozenset({Row.DEFERRED, Row.UNRELAYABLE, Row.QUOTA, Row.FEW_MAILS})
    folder: ClassVar = Folder("opensmtpd", ["opensmtpd"], ["opensmtpd", "opensmtpq"])

    def install(self) -> None:
        """Unpack it; where its queue is can't be set."""
        super().install()
        spool = self.folder.path / "var/spool"
        if not spool.is_symlink():
            spool.symlink_to("/data")

    def _configure(self, manners: Manners) -> None:
        self._own("vmail", "mail")
        self._write(
            "smtpd.conf",
            _SETTINGS.format(
                port=self.port,
                mails=manners.mails or 100,
                refusal=_QUOTA,
                filters="greylisting, quota" + (", us" if manners.quota_reached else ""),
            ),
        )

    def _program(self) -> list[str]:
        return ["smtpd", "-d", "-f", "/data/smtpd.conf"]
