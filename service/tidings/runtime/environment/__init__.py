"""Reads settings from environment variables and files: how they are written, and what is said of a wrong one."""
