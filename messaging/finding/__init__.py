"""Finds messages: the filters of the list, and the full-text search."""
