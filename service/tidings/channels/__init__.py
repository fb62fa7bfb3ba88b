"""Speaks: one package a channel, which exports a `SPEC`; the libraries that speak to providers are imported only here."""
