"""Stands up a laptop's own stack: private RabbitMQ and PostgreSQL, mail, SMS and webhook sinks."""
