"""Programs that put load on a service."""
