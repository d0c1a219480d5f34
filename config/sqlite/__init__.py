"""Django's SQLite backend with a queue for writers: ENGINE is ``config.sqlite``."""
