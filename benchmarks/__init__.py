"""What the pipeline costs, measured beside what one would write otherwise."""
