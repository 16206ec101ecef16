"""A first layout for a file that has none yet, drafted from a look at the file."""
