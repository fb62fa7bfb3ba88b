"""Postfix, as its own defaults set it up, but for where things are and whom it knows."""

import os
from types import MappingProxyType
from typing import ClassVar, Final

from tests.mta.folder import Folder
from tests.mta.server import DebianServer, Manners, Row

_MAIN: Final = """
compatibility_level = 3.6
config_directory = /data/config
queue_directory = /data/queue
data_directory = /data/state
maillog_file = /data/postfix.log
maillog_file_prefixes = /data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
meta_directory = /etc/postfix
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.com
mydestination =
mynetworks =
relay_domains =
alias_maps =
local_recipient_maps =
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
default_transport = error:this server relays for nobody
virtual_mailbox_domains = example.com
virtual_mailbox_base = /data
virtual_mailbox_maps = regexp:/data/config/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
smtpd_relay_restrictions = check_recipient_access inline:{{example.org=defer_unauth_destination}}, reject_unauth_destination
smtpd_recipient_restrictions = {quota} check_recipient_access regexp:/data/config/recipients
{manners}
"""
_MASTER: Final = """
127.0.0.1:{port} inet n - n - 200 smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
error unix - - n - - error
virtual unix - n n - - virtual
"""
_RECIPIENTS: Final = """
/^deferred/ 450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/example.com.html
/^full/ 452 4.2.2 Mailbox full
"""
_REFUSALS: Final = MappingProxyType(
    {
        "client": "smtpd_client_restrictions = reject",
        "helo": "smtpd_helo_restrictions = check_helo_access static:{504 5.5.2 need fully-qualified hostname}",
        "sender": "smtpd_sender_restrictions = check_sender_access static:{553 5.7.1 not owned by user tidings}",
        "blocklist": "smtpd_client_restrictions = check_client_access static:"
        "{554 5.7.1 Service unavailable; Client host blocked using bl.example.net}",
    }
)


class Postfix(DebianServer):
    """Refuses us only at RCPT (`smtpd_delay_reject`), and waits longer with every refused recipient."""

    name = "postfix"
    rows = frozenset(
        {Row.DEFERRED, Row.UNRELAYABLE, Row.US_REFUSED, Row.QUOTA, Row.FEW_CONNECTIONS}
    )
    refusals = tuple(_REFUSALS)
    folder: ClassVar = Folder("postfix", ["postfix", "diffutils"], ["postfix", "postdrop"])

    def _configure(self, manners: Manners) -> None:
        self._own("vmail", "mail")
        self._own("postfix", "state")
        (self.data / "queue").mkdir(exist_ok=True)
        self._write_log_as_its_user()
        quota = "check_recipient_access static:{550 5.4.5 Daily sending quota exceeded},"
        lines = [_REFUSALS.get(manners.refuses_us, "")]
        if manners.connections:
            lines.append(f"smtpd_client_connection_count_limit = {manners.connections}")
        self._write(
            "config/main.cf",
            _MAIN.format(
                uid=self.folder.uid("vmail"),
                quota=quota if manners.quota_reached else "",
                manners="\n".join(lines),
            ),
        )
        self._write("config/master.cf", _MASTER.format(port=self.port))
        self._write("config/recipients", _RECIPIENTS)
        self._write("config/mailboxes", "/^(good|deferred|full).*@example.com$/ mail/\n")

    def _write_log_as_its_user(self) -> None:
        """Killed while it took a mail, it leaves half a file, and complains of it before the process that logs is up.

        It does so as its own user, and doesn't start where it can't write the log that root made.
        """
        log = self.data / "postfix.log"
        log.touch()
        os.chown(log, self.folder.uid("postfix"), -1)

    def _program(self) -> list[str]:
        return ["postfix", "-c", "/data/config", "start-fg"]
