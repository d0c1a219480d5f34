"""Plans and what an organization has subscribed to."""
