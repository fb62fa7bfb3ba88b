"""The exchanges, queues and bindings that RabbitMQ has to hold: laid out, declared, compared, pruned."""
