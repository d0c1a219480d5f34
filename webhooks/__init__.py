"""The event log and all who listen to it: webhook endpoints, deliveries, the live WebSocket."""
