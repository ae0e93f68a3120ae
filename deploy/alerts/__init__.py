"""What wakes an operator: the objectives, Prometheus's rules, and the cases that they are tested with."""
