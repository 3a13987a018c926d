"""The polls of sensors and triggers, without I/O."""
