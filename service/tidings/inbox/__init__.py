"""Live connections of users: what changes in an inbox is sent to whoever is connected for it."""
