"""Authentication: the sender that `Authorization` proves, by an API key or a token."""

from typing import Final

from tidings.api.principal import EndUser, Principal
from tidings.api.problems import UNAUTHENTICATED, ApiProblem, unavailable
from tidings.api.tokens import CHALLENGE as INVALID_TOKEN
from tidings.api.tokens import UserTokens
from tidings.delivery.errors import LedgerUnavailable
from tidings.operations.api_key_format import digest
from tidings.operations.keyring import Keyring
from tidings.operations.keys import ApiKey
from tidings.operations.revoked_tokens import RevokedTokens

CHALLENGE: Final = 'Bearer realm="tidings"'
_SCHEME: Final = b"bearer "
KEYS: Final = "tk_"
"""How an API key begins, and no token: a token begins with the JSON of its header."""


class TokenRevoked(ApiProblem):
    """A token does not count any more."""

    def __init__(self) -> None:
        super().__init__(
            UNAUTHENTICATED,
            "this token has been revoked: log in again",
            headers={"WWW-Authenticate": INVALID_TOKEN},
        )


class Authentication:
    """Finds the sender in memory: no request waits for PostgreSQL to be authenticated.

    Args:
        keyring: The API keys.
        tokens: Of end users.
        revoked: The tokens that don't count any more.
    """

    def __init__(self, keyring: Keyring, tokens: UserTokens, revoked: RevokedTokens) -> None:
        self._keyring = keyring
        self._tokens = tokens
        self._revoked = revoked
        self._principals: dict[str, tuple[ApiKey, Principal]] = {}

    async def sender(self, authorization: bytes | None) -> Principal | EndUser:
        """The sender of a request with this header.

        Raises:
            ApiProblem: It proves nothing, or the keys are not known just now.
        """
        if authorization is None:
            raise _refused(
                "send an API key, or on routes for end users a token: `Authorization: Bearer …`"
            )
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise _refused("write `Authorization: Bearer` and an API key or a token")
        secret = authorization[len(_SCHEME) :].strip().decode("ascii", "replace")
        if not secret.startswith(KEYS) and secret.count(".") == 2:
            if not self._tokens.accepted:
                raise _refused("tokens of end users are not accepted here: no key verifies them")
            return await self._user(secret)
        try:
            key = self._keyring.find(secret)
        except LedgerUnavailable:
            raise unavailable("API keys can't be checked: PostgreSQL is unavailable") from None
        if key is None:
            raise _refused("this API key is unknown, revoked or expired")
        return self._of(key, secret)

    async def _user(self, token: str) -> EndUser:
        user = await self._tokens.verify(token)
        self.check_not_revoked(user)
        return user

    def check_not_revoked(self, user: EndUser) -> None:
        """Raises ApiProblem if the user's token was revoked, or nobody knows just now."""
        try:
            revoked = self._revoked.is_revoked(user.tenant, user.subject, user.issued_at)
        except LedgerUnavailable:
            raise unavailable("tokens can't be checked: PostgreSQL is unavailable") from None
        if revoked:
            raise TokenRevoked

    def _of(self, key: ApiKey, secret: str) -> Principal:
        """Kept as long as the key's row is the same object: until the keys are read again."""
        cached = self._principals.get(key.prefix)
        if cached is None or cached[0] is not key:
            cached = self._principals[key.prefix] = (key, Principal.of(key, digest(secret)))
        return cached[1]


def _refused(detail: str) -> ApiProblem:
    return ApiProblem(UNAUTHENTICATED, detail, headers={"WWW-Authenticate": CHALLENGE})
