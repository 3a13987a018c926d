"""Rules of the messaging channels, and the readers of the file headers that they check."""
