"""Signing in by OpenID Connect: at the identity provider of a company, with a role that it gives each person."""
