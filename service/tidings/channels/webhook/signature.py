"""Signs webhooks by the Standard Webhooks specification, with every active secret."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from tidings.delivery.errors import ConfigurationError

_PREFIX: Final = "whsec_"
_BYTES: Final = range(24, 65)
"""Length of a secret that the specification recommends."""


class Signer:
    """Signs with one secret, or with several during a rotation.

    Args:
        secrets: `whsec_…`, separated by spaces.

    Raises:
        ConfigurationError: There is none, or one is not base64. The error contains no secret.
    """

    def __init__(self, secrets: str) -> None:
        keys = [_key(number, text) for number, text in enumerate(secrets.split(), start=1)]
        if not keys:
            raise ConfigurationError(
                "TIDINGS_WEBHOOK_SECRET is not set; generate one with: "
                'python -c "import base64, secrets; '
                "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
            )
        self._keys = tuple(keys)
        self.odd = tuple(n for n, key in enumerate(keys, start=1) if len(key) not in _BYTES)
        """Positions of secrets whose length is outside the recommended range."""

    def __len__(self) -> int:
        return len(self._keys)

    def headers(
        self, key: str, *body: bytes | memoryview, now: datetime | None = None
    ) -> Mapping[str, str]:
        """The signature headers of a body, given in parts; `key` is the same on every retry.

        The signed text is separated by full stops, so the id must not contain any.
        """
        now = now or datetime.now(UTC)
        message_id, timestamp = f"msg_{key.replace('.', '_')}", str(int(now.timestamp()))
        signed = f"{message_id}.{timestamp}.".encode()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(_signature(key, signed, *body) for key in self._keys),
        }


def _signature(key: bytes, *parts: bytes | memoryview) -> str:
    """The specification's scheme `v1`. Its own library would copy the parts twice."""
    digest = hmac.new(key, digestmod="sha256")
    for part in parts:
        digest.update(part)
    return f"v1,{base64.b64encode(digest.digest()).decode()}"


def _key(number: int, text: str) -> bytes:
    where = f"TIDINGS_WEBHOOK_SECRET, secret {number}"
    if text.startswith("whsk_"):
        raise ConfigurationError(f"{where} is for asymmetric signatures; use a whsec_ secret")
    encoded = text.removeprefix(_PREFIX)
    padding = "=" * (-len(encoded.rstrip("=")) % 4)
    try:
        key = base64.b64decode(encoded.rstrip("=") + padding, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{where} is not {_PREFIX} followed by base64") from None
    if not key:
        raise ConfigurationError(f"{where} is empty")
    return key
