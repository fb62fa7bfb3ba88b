"""Alerts operators about dead letters and providers that are down."""
