"""The one error of this package."""


class EngineError(Exception):
    """Something cannot work here; the message is a sentence that says what, why and what to do."""
