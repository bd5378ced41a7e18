"""What bench_watch.py is made of: a cluster, its API server, who reads it, and who watches the wire."""
