"""Side effects: one class a family, with its clients handed in, so that importing a workflow loads no driver."""
