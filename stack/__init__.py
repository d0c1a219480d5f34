"""Runs the whole product on one machine: ``python -m stack up``. Knows the apps only as commands to start."""
