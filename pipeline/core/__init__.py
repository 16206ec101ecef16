"""Pure: no AWS, no clock, no environment, no randomness, no logging."""
