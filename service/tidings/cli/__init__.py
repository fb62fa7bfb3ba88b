"""The terminal's face of Tidings."""
