"""A folder: scan, compare, plan, execute."""
