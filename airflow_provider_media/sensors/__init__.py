"""The sensors of the media library."""
