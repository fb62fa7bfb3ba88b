"""No authority that the system trusts: reading the certificates of all takes 20 ms of CPU for each TLS context.

What tests speak to has certificates of authorities that they have made themselves. The installed command trusts the system's.
"""

import ssl


def trust_none() -> None:
    """Leave a context as it is when it is to trust whom the system trusts."""
    ssl.SSLContext.set_default_verify_paths = _nothing  # type: ignore[method-assign]


def _nothing(_: ssl.SSLContext) -> None:
    pass
