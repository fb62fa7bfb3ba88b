"""What every process needs of its machine: chores, clock, backoff, deadlines, TLS, secrets in files, a decent end."""
