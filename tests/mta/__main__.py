"""`python -m tests.mta NAME …`: brings mail servers for the tests, or says why they can't be had here."""

import os
import sys

from tests.mta.folder import ROOT
from tests.mta.servers import SERVERS

from tidings_local.errors import LocalStackError


def main() -> int:
    """All servers where none is named; named ones may be missing outside CI, and their tests are skipped."""
    wanted = sys.argv[1:]
    for server in SERVERS:
        if wanted and server.name not in wanted:
            continue
        try:
            server(ROOT).install()
        except LocalStackError as error:
            sys.stderr.write(f"{server.name} can't be had: {error}\n")
            if not wanted or os.environ.get("CI"):
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
