"""Sockets and processes: `line` and `start` in the worker, `process` and `shelter` in the program."""
