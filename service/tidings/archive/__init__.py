"""Takes dead letters from their queue into PostgreSQL."""

from tidings.archive.archive import Archive

__all__ = ["Archive"]
