"""Hooks for the media library of a connection."""
