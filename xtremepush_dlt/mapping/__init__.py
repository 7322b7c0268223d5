"""From rows to calls: pure functions, no I/O."""
