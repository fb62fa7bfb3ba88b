"""Email over SMTP: `message` writes the bytes, `pool` keeps connections, `reply_rules` interprets replies.

One mail goes `channel` → `message` (`headers`, `bodies`, `addresses`) → `pool` → `connection`,
which `relay` opened and which uses `conversation`. A failure either concerns that connection only
(`connection_limits`), or `failures` and `reply_rules` classify it.
"""

from tidings.channels.email.spec import SPEC

__all__ = ["SPEC"]
