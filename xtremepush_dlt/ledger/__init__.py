"""The memory that outlives the machine: dlt's state, what was sent, and what was not."""
