"""The HTTP API: health, metrics, and what is in the store.

``router`` finds a handler by the path, ``gate`` asks for the token, ``doors`` listens. Each resource is a module with its own
handlers; ``application`` puts them together.
"""
