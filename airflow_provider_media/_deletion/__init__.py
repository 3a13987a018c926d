"""Select and delete files."""
