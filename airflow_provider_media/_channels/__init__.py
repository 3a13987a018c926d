"""What is in a file, read from its header: the facts that the rules of the channels judge."""
