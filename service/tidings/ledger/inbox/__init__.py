"""Users' inboxes in PostgreSQL: a change log for each user."""
