"""WhatsApp numbers: their states, linking, leases, and the connections a session worker holds."""
