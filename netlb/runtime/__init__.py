"""The plumbing that every daemon shares: its life, its settings, its logs, its metrics and its HTTP pages.

Import the modules: a command that only needs logs does not load the rest.
"""
