"""The worker processes: composition, task queues, tuning."""
