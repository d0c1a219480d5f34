"""All that is kept of one person by an instance: handed out, and erased."""
