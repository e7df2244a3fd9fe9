"""What can go wrong in the service, sorted by whose fault it is.

What the core raises (``logboom._core.LogboomError`` and its kinds) is not wrapped: it passes through as it is.
"""

__all__ = ["OptionError", "RequestError", "SettingError", "ValueSyntaxError"]


class ValueSyntaxError(ValueError):
    """A written value (a size, a duration, a template) that cannot be read. The message says why, not where."""


class SettingError(Exception):
    """A setting of the service without which it cannot run, such as a socket that cannot be bound."""


class OptionError(Exception):
    """A ``--log-opt`` of a container that cannot be used: its owner's mistake, shown by ``docker run``."""


class RequestError(Exception):
    """A request that cannot be answered: the caller's mistake.

    Args:
        status: the HTTP status of the answer.
        message: what is wrong, where, and what to do.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
