"""Shows bytes on a terminal as numbers and characters."""


def hex_dump(body: bytes, most: int = 512) -> str:
    """The first bytes as numbers and as characters, sixteen a line."""
    lines = [
        f"{at:08x}  {part.hex(' '):<47}  {_characters(part)}"
        for at in range(0, min(len(body), most), 16)
        for part in (body[at : min(at + 16, most)],)
    ]
    rest = len(body) - most
    return "\n".join(
        [*lines, f"… {rest:,} bytes more: --raw writes all of them"] if rest > 0 else lines
    )


def _characters(part: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
