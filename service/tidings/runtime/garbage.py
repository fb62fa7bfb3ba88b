"""How often Python collects garbage."""

import gc


def collect_seldom() -> None:
    """Freeze what is loaded and collect rarely: under load, collection takes a good part of a worker's time,
    and messages leave almost no cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(150_000, 20, 50)
