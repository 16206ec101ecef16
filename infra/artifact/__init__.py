"""Builds what Lambda runs: a folder, its zip, and a list of what is in it."""
