"""Users, organizations, memberships, API keys, and who may do what."""
