"""Public helpers for tests: an announcer, a gobgpd and an API server in memory, and a lab of network namespaces."""
