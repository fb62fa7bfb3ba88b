"""Entity tags: a reply that has not changed is not sent again (RFC 9110, 8.8.3 and 13.1)."""

import hashlib


def etag_of(body: bytes) -> str:
    """The strong tag of a representation."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(header: str, etag: str) -> bool:
    """Whether `If-None-Match` or `If-Match` names a tag; weak tags count as equal ones."""
    tags = (tag.strip().removeprefix("W/") for tag in header.split(","))
    return header.strip() == "*" or etag in tags
