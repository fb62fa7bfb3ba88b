"""An SMTP sink that takes everything and, where told to, writes down when it accepted which recipient's mail.

python -m benchmarks.own_sink PORT [FILE]
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Final, cast

import uvloop

_REPLIES: Final = {
    b"DATA": b"354 go on\r\n",
    b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250 SIZE 20000000\r\n",
}
_END: Final = b"\r\n.\r\n"


class Session(asyncio.Protocol):
    """One connection.

    Args:
        accepted: Recipient → seconds since the epoch.
    """

    def __init__(self, accepted: dict[str, float]) -> None:
        self._accepted = accepted
        self._recipient = ""
        self._taking = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answers each line, and each payload."""
        self._rest += data
        while self._rest and (self._take_payload() if self._taking else self._take_line()):
            pass

    def _take_payload(self) -> bool:
        _, end, rest = self._rest.partition(_END)
        if not end:
            return False
        self._taking, self._rest = False, rest
        self._accepted[self._recipient] = time.time()
        self._transport.write(b"250 2.0.0 Ok: queued as 1\r\n")
        return True

    def _take_line(self) -> bool:
        line, end, rest = self._rest.partition(b"\r\n")
        if not end:
            return False
        self._rest = rest
        verb = line[:4].upper()
        if verb == b"RCPT":
            self._recipient = line.partition(b"<")[2].partition(b">")[0].decode()
        self._taking = verb == b"DATA"
        self._transport.write(_REPLIES.get(verb, b"250 Ok\r\n"))
        return True


async def serve(port: int) -> dict[str, float]:
    """Until SIGTERM; when it accepted what."""
    accepted: dict[str, float] = {}
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(lambda: Session(accepted), "127.0.0.1", port)
    await ended.wait()
    server.close()
    return accepted


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        taken = runner.run(serve(int(sys.argv[1])))
    for name in sys.argv[2:]:
        Path(name).write_text(json.dumps(taken), "utf-8")
