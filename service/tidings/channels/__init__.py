"""The channels: one package each, which exports a `SPEC`; only they import the libraries of providers."""
