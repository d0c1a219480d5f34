"""Reproducible load on the whole product: one command, one table (docs/benchmarks.md)."""
