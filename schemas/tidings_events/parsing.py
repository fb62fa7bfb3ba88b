"""Where a message's bytes become a notification."""

from pydantic import TypeAdapter, ValidationError

from tidings_events.errors import InvalidNotification
from tidings_events.notifications import Notification
from tidings_events.notifications.base import MAX_BODY_BYTES, READING, too_large
from tidings_events.problems import describe

_adapter: TypeAdapter[Notification] = TypeAdapter(Notification)


def parse(body: bytes) -> Notification:
    """The notification that `body`, a JSON object in UTF-8, describes.

    Times that have passed are accepted: it may have waited in a queue. Where a key is given
    twice the last one counts. Raises InvalidNotification, whose `problems` name every field that
    is wrong and what to write instead.
    """
    if len(body) > MAX_BODY_BYTES:
        raise InvalidNotification([too_large(len(body))])
    try:
        return _adapter.validate_json(body, context=READING)
    except ValidationError as error:
        problems = describe(error, body)
    # Raised out here so that the traceback does not chain pydantic's error, which holds the input.
    raise InvalidNotification(problems)
