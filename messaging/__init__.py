"""Messages: the ledger of all that was sent and received, and the lanes that send."""
