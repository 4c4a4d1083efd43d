"""Audit: who did what, append-only, chained by hashes. It listens, it never steers."""
