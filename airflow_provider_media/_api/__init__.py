"""The Media API without any input or output: what to ask, how to read the answer, when to ask again."""
