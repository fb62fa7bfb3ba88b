"""Sendmail, which throttles a client that names bad recipients and refuses connections when it has many."""

from types import MappingProxyType
from typing import ClassVar, Final

from tests.mta.folder import Folder
from tests.mta.server import DebianServer, Manners, Row

_SETTINGS: Final = """
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `mail.example.com')dnl
define(`confPID_FILE', `/data/sendmail.pid')dnl
define(`confBAD_RCPT_THROTTLE', `3')dnl
define(`confMAX_DAEMON_CHILDREN', `{connections}')dnl
define(`confQUEUE_LA', `100')dnl
define(`confREFUSE_LA', `100')dnl
define(`confDEF_USER_ID', `vmail:vmail')dnl
define(`QUEUE_DIR', `/data/queue')dnl
define(`ALIAS_FILE', `/data/aliases')dnl
define(`STATUS_FILE', `')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
DAEMON_OPTIONS(`Name=MTA, Addr=127.0.0.1, Port={port}')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_CONFIG
Cwexample.com
Kgreylisted regex -a@MATCH ^<?deferred
Kfull regex -a@MATCH ^<?full
Kelsewhere regex -n -a@MATCH @example\\.com>?$
LOCAL_RULESETS
SLocal_check_rcpt
R$*	$: $( greylisted $1 $)
R@MATCH	$#error $@ 4.7.1 $: "451 Greylisting in action, please come back in 00:05:00"
R$*	$: $( full $1 $)
R@MATCH	$#error $@ 4.2.2 $: "452 Mailbox full"
R$*	$: $( elsewhere $1 $)
R@MATCH	$#error $@ 5.7.1 $: "550 Relaying denied"
{manners}
"""
_REFUSALS: Final = MappingProxyType(
    {
        "client": 'R$*	$#error $@ 5.7.1 $: "550 Access denied"',
        "blocklist": 'R$*	$#error $@ 5.7.1 $: "550 Rejected: 127.0.0.1 listed at bl.example.net"',
    }
)
_ALIASES: Final = """
good: /data/mail/mbox
deferred: /data/mail/mbox
full: /data/mail/mbox
no-reply: /dev/null
postmaster: /dev/null
"""
_QUOTA: Final = 'R$*	$#error $@ 5.4.5 $: "550 Daily sending quota exceeded"'
_START: Final = """
cd /data
busybox syslogd -O /data/sendmail.log
m4 settings.mc > sendmail.cf
/usr/libexec/sendmail/sendmail -C sendmail.cf -bi
exec /usr/libexec/sendmail/sendmail -C sendmail.cf -bD -q2s
"""


class Sendmail(DebianServer):
    """Where it has as many connections as it wants, it does not even listen."""

    name = "sendmail"
    rows = frozenset(
        {Row.DEFERRED, Row.UNRELAYABLE, Row.US_REFUSED, Row.QUOTA, Row.FEW_CONNECTIONS}
    )
    refusals = tuple(_REFUSALS)
    folder: ClassVar = Folder("sendmail", ["sendmail-bin", "m4", "busybox"], ["smmta", "smmsp"])

    def _configure(self, manners: Manners) -> None:
        self._own("vmail", "mail")
        (self.data / "queue").mkdir(exist_ok=True)
        self._write("aliases", _ALIASES)
        self._write(
            "settings.mc",
            _SETTINGS.format(
                port=self.port,
                connections=manners.connections or 200,
                manners=_QUOTA if manners.quota_reached else _REFUSALS.get(manners.refuses_us, ""),
            ),
        )

    def _program(self) -> list[str]:
        return ["sh", "-e", "-c", _START]
