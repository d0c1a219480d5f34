"""The engine room: the only place that knows neonize. Why each rule here: docs/engine.md.

Importing ``library`` starts the Go runtime, so nothing outside a session worker's bootstep and the
linking subprocess may import it; ``store`` and ``jids`` are free of it.
"""
