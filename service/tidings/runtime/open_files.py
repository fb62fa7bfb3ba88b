"""How many files, which connections are too, this process may have open."""

import resource


def allow_open_files(wanted: int) -> int:
    """Raise the limit as far as it is wanted and permitted; how many may be open then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    permitted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= permitted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (permitted, hard))
    return permitted
