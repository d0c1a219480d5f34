"""Who did what, when and from where: append-only, one hash chain per organization and one for the platform."""
