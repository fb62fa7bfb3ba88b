"""Carries messages: the only place that speaks AMQP."""
