"""One file, exactly once: what is sent, from where, and how it is verified."""
