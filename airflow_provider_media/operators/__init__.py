"""The operators of the media library."""
