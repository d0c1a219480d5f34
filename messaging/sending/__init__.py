"""Sends what the ledger holds: the lanes, what they may send and when, and what becomes of it. Session workers only."""
