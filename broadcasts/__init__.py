"""Templates, messages to many recipients, and who wants none."""
