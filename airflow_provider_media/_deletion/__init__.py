"""Which files are deleted, and how."""
