"""What crosses apps: the whole product, all its processes running."""
