"""Public helpers for tests: an in-memory announcer, and a network lab of namespaces."""
