"""Tells operators what they must hear: of dead letters, and of providers that are down."""
