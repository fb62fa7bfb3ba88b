"""Hooks into aio-pika, aiormq and pamqp, and reads and writes AMQP frames itself where they are slow."""
