"""Virtual phones: a tenant's way into the sandbox network. Talks to it over its control socket only."""
