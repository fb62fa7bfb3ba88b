"""A caller of the API with the client that openapi-python-client makes of its document: it submits a notification and reads it."""

import json
import os
import sys

from generated import AuthenticatedClient
from generated.api.notifications import notifications_show, notifications_submit
from generated.models import EmailSubmission, NotificationReply, Problem, SubmittedReply

client = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["API_KEY"])
tester = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["TEST_KEY"])
mail = EmailSubmission("email", recipient="jane@example.com", subject="Hi, Jane", body="Hello.")
accepted = notifications_submit.sync(client=client, body=mail)
assert isinstance(accepted, SubmittedReply), accepted
shown = notifications_show.sync(accepted.id, client=client)
assert isinstance(shown, NotificationReply), shown
tested = notifications_submit.sync(client=tester, body=mail)
assert isinstance(tested, SubmittedReply), tested
mail.subject = "two\nlines"
refused = notifications_submit.sync(client=client, body=mail)
assert isinstance(refused, Problem), refused
json.dump(
    {
        "submitted": str(accepted.id),
        "shown": str(shown.id),
        "state": shown.state,
        "faults": [fault.pointer for fault in refused.errors],
    },
    sys.stdout,
)
