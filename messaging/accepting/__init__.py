"""Takes messages to be sent: what they name is found and made ready, then they are on the ledger, or refused."""
