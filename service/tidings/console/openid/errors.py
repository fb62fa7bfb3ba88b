"""Why nobody was signed in, in words for the person who tried."""

from tidings.delivery.errors import TidingsError


class SignInFailed(TidingsError):
    """Nobody was signed in.

    Args:
        detail: For the person.
        status: Of the page that says so.
    """

    def __init__(self, detail: str, status: int = 403) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


class ProviderUnavailable(SignInFailed):
    """The provider does not answer, or not as OpenID Connect says."""

    def __init__(self, provider: str) -> None:
        super().__init__(
            f"{provider} does not answer as it should, so nobody can sign in there now. Try again in a moment; the reason "
            "is in the log.",
            503,
        )
