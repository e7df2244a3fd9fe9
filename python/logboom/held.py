"""What a stream holds."""

from logboom._core import Container, Description, StoreView, Stream

__all__ = ["read_held"]


def read_held(view: StoreView, stream: Stream | Container) -> Description | None:
    """Ask the catalogue, else the stream's files; ``None``: it has printed nothing. *May block* as ``StoreView.describe``.

    Raises:
        StorageError: the disk refused, or the newest block is damaged.
    """
    return stream.held or view.describe(container_id=stream.container_id)
