"""``make chaos``: the product under traffic while everything dies, and a reckoning of what came of each message."""
