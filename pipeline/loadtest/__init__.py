"""A load test without its input and output: what is uploaded, what must come of it, the report."""
