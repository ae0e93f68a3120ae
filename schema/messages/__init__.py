"""Messages between the parts: frozen pydantic models, one argument for each workflow, activity and handler.

Workflows import this package passed through, so nothing here may read a clock, draw a random number or do I/O.
"""
