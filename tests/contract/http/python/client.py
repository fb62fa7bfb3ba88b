"""A caller of the API with the client that openapi-python-client makes of its document: it submits a notification and reads
it, and as an end user marks a message."""

import json
import os
import sys

from generated import AuthenticatedClient
from generated.api.inbox import inbox_list, inbox_mark_archive
from generated.api.notifications import notifications_show, notifications_submit
from generated.models import (
    EmailSubmission,
    InboxPageReply,
    MarkBody,
    MarkedReply,
    NotificationReply,
    Problem,
    SubmittedReply,
)

client = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["API_KEY"])
tester = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["TEST_KEY"])
mail = EmailSubmission("email", recipient="jane@example.com", subject="Hi, Jane", body="Hello.")
accepted = notifications_submit.sync(client=client, body=mail)
assert isinstance(accepted, SubmittedReply), accepted
shown = notifications_show.sync(accepted.id, client=client)
assert isinstance(shown, NotificationReply), shown
tested = notifications_submit.sync(client=tester, body=mail)
assert isinstance(tested, SubmittedReply), tested
user = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["USER_TOKEN"])
page = inbox_list.sync(client=user, limit=1)
assert isinstance(page, InboxPageReply), page
marked = inbox_mark_archive.sync(client=user, body=MarkBody(ids=[page.data[0].id]))
assert isinstance(marked, MarkedReply), marked
mail.subject = "two\nlines"
refused = notifications_submit.sync(client=client, body=mail)
assert isinstance(refused, Problem), refused
json.dump(
    {
        "submitted": str(accepted.id),
        "shown": str(shown.id),
        "state": shown.state,
        "title": page.data[0].title,
        "archived": marked.changed,
        "faults": [fault.pointer for fault in refused.errors],
    },
    sys.stdout,
)
