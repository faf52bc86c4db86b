"""From a sentence to a measured verdict: check, dry run, sandbox, gate, record."""
