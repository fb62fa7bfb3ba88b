"""Stand in for the world outside: servers that take mail, texts and webhooks and keep them."""
