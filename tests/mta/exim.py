"""Exim, which notices when a client speaks before it is its turn."""

from types import MappingProxyType
from typing import ClassVar, Final

from tests.mta.folder import Folder
from tests.mta.server import DebianServer, Manners, Row

_SETTINGS: Final = """
primary_hostname = mail.example.com
domainlist local_domains = example.com
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = {port}
spool_directory = /data/spool
log_file_path = /data/exim-%s.log
log_selector = +smtp_connection +smtp_syntax_error +smtp_protocol_error +smtp_no_mail +lost_incoming_connection
host_lookup =
rfc1413_hosts =
tls_advertise_hosts =
pipelining_advertise_hosts = *
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = {mails}
smtp_accept_max_per_host = {connections}
acl_smtp_rcpt = recipient
acl_smtp_data = accept

begin acl
recipient:
{manners}
  defer local_parts = ^deferred
        message = Greylisted, please try again later
  defer local_parts = ^full
        message = 452 4.2.2 Mailbox full
  require message = relay not permitted
          domains = +local_domains
  require verify = recipient
  accept

begin routers
mailboxes:
  driver = accept
  domains = +local_domains
  local_parts = ^good : ^deferred : ^full
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = /data/mail
  maildir_format
  envelope_to_add
  user = vmail
  group = vmail
"""
_QUOTA: Final = "deny message = 550 5.4.5 Daily sending quota exceeded"
_REFUSALS: Final = MappingProxyType(
    {
        "unsaid": "deny",
        "sender": "require verify = sender",
        "blocklist": "deny message = $sender_host_address is blocked using bl.example.net",
    }
)


class Exim(DebianServer):
    """Its access control says everything at RCPT, and mostly without an enhanced status code."""

    name = "exim"
    rows = frozenset(Row)
    refusals = tuple(_REFUSALS)
    folder: ClassVar = Folder("exim", ["exim4-daemon-light"], ["Debian-exim"])

    def install(self) -> None:
        """Unpack it; it keeps its rights only where its settings are in their own place."""
        super().install()
        settings = self.folder.path / "etc/exim4/exim4.conf"
        if not settings.is_symlink():
            settings.symlink_to("/data/exim4.conf")

    def _configure(self, manners: Manners) -> None:
        self._own("vmail", "mail")
        self._own("Debian-exim", "spool")
        self.data.chmod(0o777)  # its logs are its own user's
        lines = [_REFUSALS.get(manners.refuses_us, ""), _QUOTA if manners.quota_reached else ""]
        self._write(
            "exim4.conf",
            _SETTINGS.format(
                port=self.port,
                mails=manners.mails or 100_000,
                connections=manners.connections or 200,
                manners="\n".join(lines),
            ),
        )

    def _program(self) -> list[str]:
        return ["exim4", "-bdf", "-q2s"]
