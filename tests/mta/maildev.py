"""MailDev, the mail catcher of many a developer's machine."""

from tests.mta.npm import NodeServer


class MailDev(NodeServer):
    """It takes everything."""

    name = "maildev"

    def _command(self) -> list[str]:
        places = ["--smtp", str(self.port), "--ip", "127.0.0.1", "--disable-web"]
        kept = ["--mail-directory", str(self._mailbox()), "--verbose"]
        return [self._binary("maildev"), *places, *kept]
