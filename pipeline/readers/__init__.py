"""Bytes in, Arrow record batches of text out."""
