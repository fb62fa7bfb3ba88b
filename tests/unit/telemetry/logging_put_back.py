"""Logging as it was, after a test that configured it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def logging_put_back() -> Iterator[None]:
    """Whatever is configured within ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    floors = {name: logging.getLogger(name).level for name in ("aiormq", "aio_pika", "twilio")}
    try:
        yield
    finally:
        structlog.reset_defaults()
        logging.captureWarnings(capture=False)
        root.handlers = handlers
        root.setLevel(level)
        for name, floor in floors.items():
            logging.getLogger(name).setLevel(floor)
