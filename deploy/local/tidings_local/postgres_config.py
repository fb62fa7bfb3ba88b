"""The configuration of the laptop's own PostgreSQL, as its server reads it."""

from typing import Final

CONFIG: Final = """\
# Written by Tidings at every start of its private PostgreSQL; changes here are lost.

# Nothing listens beyond this machine, and no socket file: their paths may not be long.
listen_addresses = '{address}'
port = {port}
unix_socket_directories = ''
max_connections = 200

shared_buffers = 128MB
# Nothing replicates from a laptop.
wal_level = minimal
max_wal_senders = 0
max_wal_size = 512MB
jit = off

timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %d '
lc_messages = 'C'
default_text_search_config = 'pg_catalog.simple'
"""

FAST_AND_FORGETFUL: Final = """
# For tests: a power cut may lose everything, a crash of the server alone loses nothing that was
# handed to the operating system.
fsync = off
full_page_writes = off
# Beside the data: in /dev/shm it outlives a server that is killed and not started again.
dynamic_shared_memory_type = mmap
"""
