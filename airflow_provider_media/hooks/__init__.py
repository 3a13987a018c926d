"""The hook: the connection to the media library."""
