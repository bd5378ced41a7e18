"""Public helpers for tests: an announcer and a gobgpd in memory, and a network lab of namespaces."""
