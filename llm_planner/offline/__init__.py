"""The offline model: grammar and geometric search in the four roles."""
