"""Archives dead letters, and sends them on their way again."""

from tidings.dead_letters.archive import Archive

__all__ = ["Archive"]
