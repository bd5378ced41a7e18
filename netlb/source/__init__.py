"""Where declared objects come from, and where status goes."""
