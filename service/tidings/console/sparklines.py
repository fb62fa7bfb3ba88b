"""Draws a trend as a few bars, small enough for a table's cell."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup, escape

HEIGHT: Final = 24
WIDTH: Final = 3
"""Of a bar; one more is the gap to the next."""


def sparkline(counts: Sequence[int], label: str) -> Markup:
    """One bar for each count, the highest as high as the picture.

    Args:
        counts: The oldest first.
        label: What it shows, for those who can't see it.
    """
    highest = max(counts, default=0) or 1
    bars = "".join(
        f"M{at * (WIDTH + 1)} {HEIGHT}v-{max(1, round(count / highest * HEIGHT))}h{WIDTH}V{HEIGHT}z"
        for at, count in enumerate(counts)
        if count
    )
    width = max(1, len(counts) * (WIDTH + 1) - 1)
    size = f'viewBox="0 0 {width} {HEIGHT + 1}" width="{width}" height="{HEIGHT + 1}"'
    ground = f'<path class="spark-ground" d="M0 {HEIGHT}.5h{width}"/>'
    head = f'<svg class="spark" {size} role="img" aria-label="{escape(label)}">'
    return Markup(f'{head}{ground}<path d="{bars}"/></svg>')  # noqa: S704  # the label is escaped, the rest are numbers
