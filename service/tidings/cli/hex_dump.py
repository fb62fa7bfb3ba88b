"""Formats bytes as a hex dump."""


def hex_dump(body: bytes, most: int = 512) -> str:
    """The first bytes in hexadecimal and ASCII, sixteen per line."""
    lines = [
        f"{at:08x}  {part.hex(' '):<47}  {_characters(part)}"
        for at in range(0, min(len(body), most), 16)
        for part in (body[at : min(at + 16, most)],)
    ]
    rest = len(body) - most
    return "\n".join([*lines, f"… {rest:,} more bytes: use --raw"] if rest > 0 else lines)


def _characters(part: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
