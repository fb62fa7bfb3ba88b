"""Says why a server was not trusted, and which setting mends it: certificates are verified everywhere."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tidings.delivery.errors import ConfigurationError

_EXPIRED: Final = 10
_OTHER_NAME: Final = frozenset({62, 64})
"""OpenSSL's `X509_V_ERR_CERT_HAS_EXPIRED`, `…_HOSTNAME_MISMATCH` and `…_IP_ADDRESS_MISMATCH`."""


def verifying(ca_file: Path | None, variable: str) -> ssl.SSLContext:
    """Verifies certificate and name, by the system's authorities or by `ca_file` instead of them.

    Args:
        variable: Which setting names the file.

    Raises:
        ConfigurationError: The file can't be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # `ssl.SSLError` is one
        raise ConfigurationError(
            f"{variable}: {ca_file} can't be read as certificates in PEM ({error.strerror or error})"
        ) from None


def distrust(error: BaseException, *, address: str, authority: str) -> str | None:
    """What TLS has against a server, and what to do; None where it has nothing.

    Args:
        error: What connecting raised.
        address: Which setting names the server.
        authority: Which setting, or part of one, names a certificate authority.
    """
    match next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None):
        case None:
            return None
        case ssl.SSLCertVerificationError(verify_code=code) if code in _OTHER_NAME:
            return f"its certificate is for another name; let {address} name it as its certificate does"
        case ssl.SSLCertVerificationError(verify_code=code) if code == _EXPIRED:
            return "its certificate has expired; renew it"
        case ssl.SSLCertVerificationError(verify_message=why):
            return (
                f"its certificate is not trusted ({why}); let {authority} name the file of the "
                "authority that signed it"
            )
        case ssl.SSLError(strerror=why):
            return f"the TLS handshake failed ({why}); see that {address} leads to a port for TLS"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it came from, and so on; raised again by hand, errors may come from each other."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__
