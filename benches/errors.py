"""The one error of this package."""


class BenchError(Exception):
    """A measurement cannot be made, or what was read back is wrong; the message is a sentence that says what."""
