"""Measures Tidings beside what people would use instead: same broker, same database, same work."""
