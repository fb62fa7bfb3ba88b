"""Tells what happens: logs, metrics, health."""
