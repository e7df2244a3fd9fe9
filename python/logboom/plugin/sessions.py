"""Starting and stopping the session of a FIFO."""

import logging
from typing import Final

from logboom import _core
from logboom.errors import OptionError
from logboom.options import parse_options
from logboom.plugin.documents import StartLogging, StopLogging
from logboom.plugin.facts import encode_facts
from logboom.store import OpenStore, Store
from logboom.threads import Lane, run_in_core

__all__ = ["Sessions"]

_log: Final = logging.getLogger(__name__)


class Sessions:
    """The sessions of a store.

    Args:
        open_store: where the store will be.
    """

    def __init__(self, open_store: OpenStore) -> None:
        self._open_store = open_store

    async def start(self, request: StartLogging) -> None:
        """Begin to read a FIFO.

        Raises:
            OptionError: a log option is mistaken, and the container has no log that must stay readable.
            logboom._core.LogboomError: the core refuses, for instance since the FIFO is read already.
        """
        info = request.info
        # A container's patterns, or a hundred thousand labels, may take a while: not the loop's.
        options, mistakes = await run_in_core(Lane.SESSIONS, parse_options, info.log_opts)
        store = await self._open_store.wait()
        if mistakes:
            # dockerd starts a session to read the log of a stopped container, too: refusing it would hide the log.
            if not await _has_log(store, info.container_id):
                raise OptionError("; ".join(mistakes))
            for mistake in mistakes:
                _log.warning(
                    "container %.12s, which has a log already: %s; using the default",
                    info.container_id,
                    mistake,
                )
        facts = await run_in_core(Lane.SESSIONS, encode_facts, info, options)
        await run_in_core(
            Lane.SESSIONS,
            store.start_session,
            file=request.file,
            container_id=info.container_id,
            facts=facts,
            **options.given,
        )

    async def stop_unknown(self) -> None:
        """Take what is left in a FIFO of which only dockerd knows which one it is.

        The session ends when dockerd closes the FIFO. It removes it then, too, so everything is taken before.
        """
        store = await self._open_store.wait()
        try:
            await run_in_core(Lane.SESSIONS, store.drain)
        except _core.LogboomError as error:
            _log.error("stopping a session: %s", error)

    async def stop(self, request: StopLogging) -> None:
        """Take what is left in a FIFO and end its session.

        It always succeeds for dockerd, which would otherwise keep the FIFO and its hold on the plugin for ever, with
        nothing gained: what could not be stored is counted and said by the store.
        """
        store = await self._open_store.wait()
        try:
            known = await run_in_core(Lane.SESSIONS, store.stop_session, file=request.file)
        except _core.LogboomError as error:
            _log.error("stopping the session of %s: %s", request.file, error)
        else:
            if not known:
                _log.info("no session had the FIFO %s", request.file)


async def _has_log(store: Store, container_id: str) -> bool:
    try:
        return await run_in_core(Lane.SESSIONS, store.has_log, container_id=container_id)
    except _core.StorageError:
        # Nothing can be read now. There may be a log all the same, which a refusal would hide when the store is mended.
        return True
