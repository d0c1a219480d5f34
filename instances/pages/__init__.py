"""The page that links a number, for whoever holds the phone."""
