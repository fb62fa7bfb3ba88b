"""The programs of the peers and the bare loops; they run in .venv-bench and import nothing of the harness."""
