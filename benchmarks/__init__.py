"""How fast the gateway is, side by side with what else could do its work (docs/performance.md)."""
