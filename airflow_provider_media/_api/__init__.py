"""The Media API without I/O: requests, responses, and flows of them."""
