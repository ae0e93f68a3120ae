"""What every other package agrees on: messages, tables, settings, errors and the ways into storage."""
