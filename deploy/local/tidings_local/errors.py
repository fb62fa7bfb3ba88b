"""What can go wrong while a laptop's own stack is put up, and what to do about it."""

from tidings.delivery.errors import TidingsError


class LocalStackError(TidingsError):
    """The laptop's own stack can't be put up; the message says why and what to do."""


class NotInstalled(LocalStackError):
    """A server's programs are not on this machine.

    Args:
        server: What people call it, e.g. `RabbitMQ`.
        looked: Where it was looked for.
    """

    def __init__(self, server: str, looked: str) -> None:
        super().__init__(
            f"{server} is not installed (looked in {looked}). "
            "`python -m tidings_local.packages` installs it or says how."
        )


class StartFailed(LocalStackError):
    """A server was started but did not become ready; the message ends with its own last words."""


class AlreadyRunning(LocalStackError):
    """Another process uses this data directory; two servers on one would destroy it."""
