"""The inbox of an application's user: listed, counted, and marked by its user."""
