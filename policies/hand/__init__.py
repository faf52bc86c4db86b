"""The upper level with the bare hand: wrap, poke, and use rigid bars as tools."""
