"""Benchmarks: commands that measure and print one line per case. They never assert."""
