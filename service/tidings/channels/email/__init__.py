"""Email over SMTP: `message` writes the bytes, `pool` keeps connections, `replies` reads the answers.

One mail goes `channel` → `message` (`headers`, `bodies`, `addresses`) → `pool` → `connection`,
which `relay` opened and which speaks through `conversation`; whatever goes wrong on the way is named by `replies`.
"""
