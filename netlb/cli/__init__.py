"""The `netlb` command."""
