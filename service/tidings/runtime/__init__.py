"""What every process needs of its machine: chores, backoff, TLS, secrets in files, a decent end."""
