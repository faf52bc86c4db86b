"""One command, one module: its docstring is the help text, `run` returns the result that `--json` writes."""
