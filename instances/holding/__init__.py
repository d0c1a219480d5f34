"""What runs inside a session worker: the bootstep, the holder, its leases, connections and links."""
