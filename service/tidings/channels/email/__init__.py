"""Email over SMTP: `message` writes the bytes, `pool` keeps connections, `reply_rules` says what answers mean.

One mail goes `channel` → `message` (`headers`, `bodies`, `addresses`) → `pool` → `connection`,
which `relay` opened and which speaks through `conversation`. What goes wrong on the way is about that connection
(`connection_limits`), or else named by `failures` and `reply_rules`.
"""

from tidings.channels.email.spec import SPEC

__all__ = ["SPEC"]
