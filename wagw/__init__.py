"""The command line for developers. It speaks to a running product over its API and knows nothing else of it."""
