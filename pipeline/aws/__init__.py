"""Adapters over AWS, one file for each backend and port."""
