"""Speaks: one file or folder a channel, each to its own kind of provider; vendor libraries only here."""
