"""Draws the dashboard from its own definition, with what a load test on the local stack measured."""
