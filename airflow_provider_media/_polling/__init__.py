"""What sensors and triggers ask the library, without I/O."""
