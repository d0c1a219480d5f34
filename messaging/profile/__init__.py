"""What a number shows of itself and to whom: profile, presence, privacy, blocks."""
