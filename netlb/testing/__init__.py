"""Public helpers for tests: an in-memory announcer, a network lab of namespaces, a double of the API server."""
