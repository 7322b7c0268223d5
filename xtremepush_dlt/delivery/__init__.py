"""From calls to outcomes: order, batches, retries, the journal and the report."""
