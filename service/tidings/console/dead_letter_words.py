"""Says in plain words why a dead letter failed, and what can be done about it."""

from typing import Final

from tidings.delivery.outcome import Reason
from tidings.operations.dead_letters.remedies import Remedy

REASONS: Final = {
    Reason.REJECTED: "It was refused for good, by the provider or by its template: unchanged, it will probably be refused again.",
    Reason.EXHAUSTED: "Every attempt of its retry policy failed. The last error is shown here.",
    Reason.MALFORMED: "It can't be read as a notification.",
    Reason.UNROUTABLE: "It was published with a routing key that matches no lane.",
    Reason.DELIVERY_LIMIT: "It went back to its lane more than 20 times without being settled, as if each worker that took it had crashed.",
    Reason.EXPIRED: "Its time was over before it could be delivered.",
    Reason.OUTCOME_UNKNOWN: "It was sent, and the provider's reply was lost: it may have arrived. If it is sent again, it may arrive twice.",
    Reason.COPIES_REFUSED: "Its recipient has it. Some copies (cc, bcc) could not be sent; a replay goes to those only.",
}
REMEDIES: Final = {
    Remedy.REPLAY: "If the cause is gone, replay it as it is. If the fault is in it, edit it first.",
    Remedy.EDIT: "Edit it: the problems are listed below.",
    Remedy.REWRITE: "Its body is not text. Replace all of it from a file, in a terminal.",
    Remedy.UNPACK: "Its body is compressed. Unpack it in a terminal.",
    Remedy.EXTEND: "It would expire again: edit it and give it a later expires_at.",
    Remedy.OTHER_TEMPLATE: "It names a template that there is not. Name another one in it, or add the template and replay.",
    Remedy.FIX_TEMPLATE: "Its template and its data don't match. Correct the data in it, or correct the template and replay.",
}
IN_A_TERMINAL: Final = {
    Remedy.REWRITE: "tidings dead edit {id} --file FILE --replay",
    Remedy.UNPACK: "tidings dead show {id} --raw | gunzip | tidings dead edit {id} --file - --replay",
}
"""Commands for what can't be edited in a page."""
