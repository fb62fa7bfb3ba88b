"""TLS contexts, and explanations of TLS errors with the setting to change. Certificates are always verified."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tidings.delivery.errors import ConfigurationError

_EXPIRED: Final = 10
_OTHER_NAME: Final = frozenset({62, 64})
"""OpenSSL's `X509_V_ERR_CERT_HAS_EXPIRED`, `…_HOSTNAME_MISMATCH` and `…_IP_ADDRESS_MISMATCH`."""


def verifying(ca_file: Path | None, variable: str) -> ssl.SSLContext:
    """A context that verifies certificate and name, by the system's authorities or, if given, by `ca_file`.

    Args:
        variable: The setting that names the file.

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
    """The TLS error and its remedy; None if the error is not about TLS.

    Args:
        error: Raised by connecting.
        address: The setting that names the server.
        authority: The setting, or its part, that names a certificate authority.
    """
    match next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None):
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
    """The error and its chain of causes; an error that was raised again may be its own cause."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__
