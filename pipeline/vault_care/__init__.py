"""Care of what the worker only adds to: keys renewed, rows checked, forgotten, destroyed."""
