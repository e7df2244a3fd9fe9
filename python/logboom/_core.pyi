"""The Rust core: intake, store and readers.

Log lines never pass through Python on their way to disk, and the core never calls Python: waking is a file
descriptor (an eventfd) that ``trio.lowlevel.wait_readable`` waits on.

Calls marked *may block* do file I/O or wait for an intake thread, with the GIL released; make them through
``logboom.threads.run_in_core``. All others return at once.

Times are ``int`` nanoseconds since the Unix epoch. Sizes are ``int`` bytes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, final

__all__ = [
    "ClosedError",
    "Container",
    "Converted",
    "Description",
    "Finding",
    "InvalidArgumentError",
    "Listing",
    "LogboomError",
    "Pattern",
    "Playback",
    "Printed",
    "Reader",
    "Sent",
    "SessionExistsError",
    "StorageError",
    "Store",
    "StoreView",
    "Stream",
    "Verification",
    "Watchdog",
    "commit",
    "convert_json_file",
    "show_bytes",
    "show_time",
    "table",
    "verify",
    "version",
]

def version() -> str:
    """The version of the core, which is that of the whole project."""

def commit() -> str:
    """The commit that this was built from, with ``-dirty`` behind it where files were changed; ``unknown`` outside a repository."""

def show_bytes(size_bytes: int) -> str:
    """A size with three digits and a decimal unit, as Docker shows them: ``1.23MB``."""

def show_time(time_ns: int | None, *, utc: bool) -> str:
    """A time to the second, in the zone of this process or in UTC; ``-`` where there is none."""

def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> str:
    """Columns with two spaces between them; those in ``right`` are aligned to the right. Cells may hold anything."""

class LogboomError(Exception):
    """Base of everything the core raises."""

class InvalidArgumentError(LogboomError):
    """The caller gave something that cannot be used; the message says what, where and why."""

class SessionExistsError(LogboomError):
    """The FIFO belongs to a session that is already running."""

class StorageError(LogboomError):
    """The disk failed, or what lies on it is damaged or newer than this version.

    The message names the operation, the path and the cause.
    """

class ClosedError(LogboomError):
    """The store has been closed."""

@final
class Store:
    """All streams of one data folder, and the intake that fills them."""

    @staticmethod
    def open(
        *,
        data: str,
        fifo_root: str,
        block_seconds: int,
        pipe_budget_bytes: int,
        named_containers: int,
        sync: str,
    ) -> Store:
        """Start the intake and find the running sessions again. *May block.*

        A data folder that cannot be used is no error here: containers must start and be read from whatever its
        state. ``fault`` tells what is wrong, and what cannot be stored is dropped and counted.

        Args:
            data: the data folder; made when it is missing.
            fifo_root: put before every path that dockerd names (``""`` in the plugin).
            block_seconds: a quiet session's journal is compressed after this many seconds.
            pipe_budget_bytes: how much all FIFOs together may hold above the kernel's default of 64 KiB each.
            named_containers: how many containers' names ``traffic`` tells apart.
            sync: when entries are made to survive a power cut: ``"always"`` before anybody sees them, ``"1s"`` once a
                second, ``"off"`` when the machine likes to.

        Raises:
            InvalidArgumentError: ``sync`` is something else.
            StorageError: no thread, eventfd or epoll instance could be made.
        """

    def start_session(
        self,
        *,
        file: str,
        container_id: str,
        facts: str,
        max_size_bytes: int | None = ...,
        max_file: int = ...,
        max_age_s: int | None = ...,
        compress: bool = ...,
    ) -> None:
        """Attach to a FIFO and keep what comes out of it. *May block.*

        The session's record is on disk when this returns, so that a later worker finds it again; where that failed,
        ``fault`` says so. Nothing is written into the store before the first byte.

        An option that is left out follows ``set_default_options``, whenever that changes.

        Args:
            file: the FIFO's path as dockerd names it; below ``/run/docker/logging`` or any other folder.
            container_id: names the stream's folder; ``[a-zA-Z0-9][a-zA-Z0-9_.-]*``, at most 128 characters.
            facts: a JSON object with what is known of the container; kept in the store as it is.
            max_size_bytes: a segment is sealed at this stored size at the latest; ``None``: the stream has no limit of size.
            max_file: the oldest segments are deleted above so many times that size.
            max_age_s: segments whose newest entry is older are deleted; ``None``: never.
            compress: ``False`` stores the text as it is, in a frame that ``zstdcat`` still reads.

        Raises:
            InvalidArgumentError: ``file`` is missing, no FIFO, or outside the FIFO root; a bad ``container_id`` or ``facts``.
            SessionExistsError: the FIFO is already attached.
        """

    def stop_session(self, *, file: str) -> bool:
        """Take what is left in the FIFO, then end its session and its followers. *May block.*

        Returns:
            ``False`` when no session has this FIFO, which is normal after a restart.

        Raises:
            StorageError: an earlier worker had the session, and its FIFO cannot be opened.
        """

    def drain(self) -> None:
        """Take what all FIFOs hold right now. *May block.*"""

    def read(
        self,
        *,
        container_id: str,
        tail: int | None,
        since_ns: int | None,
        until_ns: int | None,
        follow: bool,
        from_sequence: int | None = None,
    ) -> Reader:
        """A reader whose start and end are fixed when this returns. *May block.*

        The container's FIFOs are drained first, so that all that was written before the call is seen. A container
        that nothing is known of has an empty stream.

        Args:
            container_id: whose stream.
            tail: only the last so many entries of what there is; ``None``: all; ``0``: none.
            since_ns: skip entries until the first one that is not older; all after it are given.
            until_ns: end before the first entry that is newer.
            from_sequence: nothing before this sequence number, for whoever has read up to there.
            follow: go on with new entries until the session that runs now has ended; without one, end at once.

        Raises:
            InvalidArgumentError: a bad ``container_id``.
            StorageError: the stream cannot be read.
        """

    def has_log(self, *, container_id: str) -> bool:
        """Whether the store holds anything of a container. *May block.*

        Raises:
            InvalidArgumentError: a bad ``container_id``.
            StorageError: the store cannot be looked at.
        """

    def remove(self, *, container_id: str) -> Literal["removed", "missing", "in-use"]:
        """Remove a stream, unless a session runs in it. *May block.*

        When it is said to be removed it is gone, after a power cut, too. Its sequence numbers do not come again; a reader goes on with
        what it has open.

        Returns:
            ``"in-use"``: a session runs in it, or what it has cannot be compressed; nothing has gone. ``"missing"``: the store holds
            nothing of this container.

        Raises:
            InvalidArgumentError: a bad ``container_id``.
            StorageError: the disk refused.
            ClosedError: the store has been closed.
        """

    def view(self) -> StoreView:
        """The store's files, to list and describe streams beside the intake. *May block.*

        Raises:
            StorageError: the store cannot be looked at.
        """

    def set_limits(
        self,
        *,
        max_bytes: int | None,
        min_free_bytes: int | None,
        max_streams: int | None,
        keep_ended_s: int | None,
    ) -> None:
        """Set the limits over all streams, in place of those set before; without a call there are none.

        They are enforced in the background, at once and from now on (``docs/retention.md``). ``None`` is no limit.

        Args:
            max_bytes: what all streams together may take, segments and journals.
            min_free_bytes: what is kept free on the file system of the data folder, while the store holds more than that.
            max_streams: how many streams there may be; only ended ones go.
            keep_ended_s: an ended stream goes when its newest entry is older, and nothing was written to it since.
        """

    def set_default_options(
        self, *, max_size_bytes: int | None, max_file: int, max_age_s: int | None, compress: bool
    ) -> None:
        """Set the options of containers that give none, in place of those set before; without a call there is no limit.

        Each stream heeds those that its newest session left out: from its next block on, and what is to be deleted goes in the
        background. When they change, all streams are looked at, those in use first. The first call of a worker is no change: those
        that are not in use are looked at within the hour then.

        Args:
            max_size_bytes: as for ``start_session``, and so are the others.
        """

    def fault(self) -> str | None:
        """What keeps the store from taking entries or from giving them all back, as a sentence; ``None`` when all is well.

        A data folder that a newer version has written is such a thing. It is left as it is, and entries are kept in a folder
        beside it.
        """

    def faults(self) -> list[tuple[str, str]]:
        """All that ``fault`` could tell, each with its name: ``disk-stalled``, ``store``, ``intake``, ``session-records``, ``newer-format``."""

    def folder(self) -> Path:
        """The folder that the store is in: the data folder, or the one beside it when that is of a newer version."""

    def stall_seconds(self) -> int | None:
        """How long the disk has not answered the intake, once that is over two seconds; ``None``: it answers.

        A frozen file system gives no error. ``fault`` says the same, and ``statistics`` has how often it was and how long.
        """

    def statistics(self) -> dict[str, int]:
        """Counters since the start of this worker, by metric name without its prefix."""

    def traffic(self) -> list[tuple[str | None, int, int]]:
        """Entries and frame bytes that came out of FIFOs since the start of this worker, by the container's name.

        Without a name: those of all others. When there are more names than ``named_containers``, one that no session has any more makes room, and
        what it has counted goes to the others.
        """

    def sync_durations(self) -> tuple[list[tuple[float, int]], float]:
        """How long syncs of files and folders took since the start of this worker.

        Returns:
            Upper bounds in seconds, the last one infinite, each with how many were within it and not within the one before; and the sum of all.
        """

    def close(self) -> None:
        """Take what is in the FIFOs, compress and sync all, end the threads. Sessions stay attachable. *May block.*

        A second call does nothing. Later calls of other methods raise ``ClosedError``.
        """

@final
class Reader:
    """Walks one stream forwards. Give it up with ``close``."""

    def fileno(self) -> int:
        """An eventfd that becomes readable when a follower may have more, or has ended."""

    def next_frames(self, max_bytes: int) -> bytes | None:
        """Entries as the frames that ``ReadLogs`` answers with. *May block* on the disk, never for new entries.

        A frame is a 4-byte big-endian length and a protobuf ``LogEntry`` whose line has its newline again
        (``entry.proto``). Whole frames only.

        Args:
            max_bytes: about how much to return, at least one frame.

        Returns:
            ``b""`` when a follower must wait for ``fileno``; ``None`` at the end of the stream.

        Raises:
            StorageError: a block cannot be read; the reader is at its end then.
        """

    def next_json(self, max_bytes: int) -> bytes | None:
        """Entries as JSON, one object a line, otherwise as ``next_frames``. *May block* on the disk.

        An object has, in this order:

        * ``time``: RFC 3339 in UTC with nine digits of the second, so nothing is lost of the nanoseconds;
        * ``stream``: ``stdout`` or ``stderr``, as dockerd named it;
        * ``line``: without its newline; bytes that are no UTF-8 are shown as U+FFFD;
        * ``line_base64``: the bytes themselves, only where ``line`` does not have them all;
        * ``partial``, only for a piece of a line of over 16 KiB: an object with ``id``, the same for all pieces, ``ordinal``, from 1,
          and ``last``, whether it ends the line;
        * ``sequence``: the sequence number; not for an entry that says why others cannot be read;
        * ``own``: true, only for what Logboom wrote itself.
        """

    def next_text(self, max_bytes: int, *, times: bool) -> bytes | None:
        """Entries as ``docker logs`` prints them, both streams together, otherwise as ``next_frames``. *May block* on the disk.

        Args:
            max_bytes: about how much to return, at least one entry.
            times: each line begins with its time, as ``docker logs -t`` has it, in UTC.
        """

    def send_frames(self, socket: int, max_bytes: int) -> Sent | None:
        """The same frames as chunks of an HTTP/1.1 answer (RFC 9112, section 7.1), straight into its socket. *May block* on the
        disk, and a few milliseconds for a full socket.

        What is around the chunks is the caller's: head, and last chunk. Use either this or ``next_frames`` of one reader.

        Args:
            socket: the file descriptor of a connected stream socket; it must stay open until the call returns.
            max_bytes: about how much to send, at least one frame.

        Returns:
            ``None`` when the socket takes no more for now: call again when it is writable, before anything else is sent on it. What is
            returned then is of all these calls.

        Raises:
            OSError: the other side has hung up.
            ClosedError: after ``close``.
        """

    def close(self) -> None:
        """Give up files and memory. A second call does nothing. *May block*: the last one that has a removed file open frees it."""

@final
class Sent:
    """What ``Reader.send_frames`` has sent since it last returned one."""

    @property
    def byte_count(self) -> int:
        """Bytes of the frames. 0: a follower must wait for ``Reader.fileno``, unless ``is_end``."""

    @property
    def entry_count(self) -> int:
        """How many frames these were."""

    @property
    def is_end(self) -> bool:
        """Nothing will follow."""

@final
class StoreView:
    """The files of a store as they are at each call: nothing is locked, changed or kept, and no thread is started.

    It works beside a worker in any process, or in this one, and without one. Of a running worker it sees what lies in files,
    which is all but what is in a FIFO at this moment. No entry is seen twice or out of order, whatever the worker does meanwhile.
    """

    @staticmethod
    def open(*, data: str, fifo_root: str | None) -> StoreView:
        """Look at a data folder. *May block.*

        Args:
            data: the data folder. Where a newer version has written it, the folder beside it is looked at (``folder``).
            fifo_root: put before every path that dockerd names (``""`` in the plugin); ``None``: the FIFOs cannot be reached, so
                it is not known which streams are active.

        Raises:
            InvalidArgumentError: there is no store in the folder.
            StorageError: the folder cannot be read, or has a format that this version does not know.
        """

    @property
    def folder(self) -> str:
        """Where the store is."""

    def stream_ids(self) -> list[str]:
        """The container ids of all streams, sorted. *May block*: one folder is listed, nothing is opened.

        Raises:
            StorageError: the disk refused.
        """

    def streams(self) -> list[Stream]:
        """All streams, sorted by container id. *May block*: one small file is read for each that is not in the catalogue.

        Containers that run and have printed nothing are among them, although they have no stream yet, where FIFOs can be reached.

        Raises:
            StorageError: the disk refused.
        """

    def streams_page(self, *, after: str, limit: int) -> list[Stream]:
        """Some of them. *May block*: only their files are read.

        Args:
            after: those whose container ids come behind this one; ``""``: from the first on.
            limit: how many at most.

        Raises:
            StorageError: the disk refused.
        """

    def containers(self) -> list[Container]:
        """All streams as people know them, oldest first, and by container id where they are as old. *May block* as ``streams``.

        Raises:
            StorageError: the disk refused.
        """

    def listing(
        self,
        containers: list[Container],
        *,
        existing: frozenset[str] | None,
        states: list[str] | None,
        sort: str,
    ) -> Listing:
        """What some of them hold. *May block* as ``describe``, for each that is not in the catalogue.

        Args:
            containers: which.
            existing: the ids of the containers that the engine has; ``None``: nobody knows.
            states: only those that are ``"active"``, ``"ended"`` or ``"removed"``; ``None``: all.
            sort: ``"last"`` or ``"first"`` time, ``"name"``, ``"entries"``, ``"size"`` or ``"stored"`` bytes. Times and sizes with the
                newest and the largest first, but for ``"first"``.
        """

    def describe(self, *, container_id: str) -> Description | None:
        """What a stream holds; ``None``: there is none. *May block*: indexes are read, and what is not compressed yet.

        Raises:
            InvalidArgumentError: a bad ``container_id``.
            StorageError: the disk refused, or the newest block is damaged.
        """

    def activity(
        self, *, container_ids: list[str], from_ns: int, span_ns: int, span_count: int
    ) -> list[int]:
        """How much text came in each of ``span_count`` spans of time, from ``from_ns`` on. *May block*: indexes are read, and what
        is not compressed yet.

        Of a block, about a megabyte of lines, only the oldest and the newest time are looked at, and its text is spread evenly
        between them.

        Raises:
            InvalidArgumentError: a bad container id.
            StorageError: the disk refused, or a newest block is damaged.
        """

    def read(
        self,
        *,
        container_id: str,
        tail: int | None,
        since_ns: int | None,
        until_ns: int | None,
        from_sequence: int | None,
    ) -> Reader | None:
        """A reader of what is in files now; ``None``: there is no stream. *May block.* The arguments are those of ``Store.read``.

        Raises:
            InvalidArgumentError: a bad ``container_id``.
            StorageError: the disk refused, or the newest block is damaged.
        """

@final
class Stream:
    """One stream, or a container that runs and has printed nothing yet."""

    @property
    def container_id(self) -> str:
        """Whose entries it has."""

    @property
    def is_active(self) -> bool | None:
        """Whether the container runs: its FIFO is there. ``None``: that cannot be seen from here."""

    @property
    def first_started_ns(self) -> int | None:
        """When the oldest session that is known of began; ``None``: none is."""

    @property
    def last_started_ns(self) -> int | None:
        """When the newest session began."""

    @property
    def facts(self) -> str | None:
        """What is known of the container, as JSON: the ``facts`` of ``Store.start_session``, of the newest session."""

    @property
    def held(self) -> Description | None:
        """What it holds, where the catalogue tells; ``None``: ask ``StoreView.describe``."""

@final
class Container:
    """A container whose log is in the store, or that runs and has printed nothing."""

    @property
    def container_id(self) -> str:
        """Its id."""

    @property
    def short_id(self) -> str:
        """The same as docker shows it."""

    @property
    def name(self) -> str:
        """Its name; its short id where none is known."""

    @property
    def image(self) -> str:
        """The image's name; empty where none is known."""

    @property
    def labels(self) -> str:
        """Its labels, a JSON object."""

    @property
    def attributes(self) -> str:
        """What the options ``labels``, ``env`` and ``tag`` chose, a JSON object."""

    @property
    def is_active(self) -> bool | None:
        """Whether it runs; ``None``: that cannot be seen from here."""

    @property
    def is_named(self) -> bool:
        """Something is known of it; of a container that has just begun that may come later."""

    @property
    def held(self) -> Description | None:
        """What its log holds, where the catalogue tells; ``None``: ask ``StoreView.describe``."""

@final
class Listing:
    """Containers and what their logs hold."""

    def faults(self) -> list[tuple[str, str]]:
        """The names of those whose logs cannot be read, and why."""

    def table(self, *, utc: bool) -> str:
        """A table for people, with times in UTC or in the zone of this process."""

    def json(self) -> bytes:
        """A JSON object a line."""

@final
class Description:
    """What a stream holds."""

    @property
    def entry_count(self) -> int:
        """How many entries."""

    @property
    def first_ns(self) -> int | None:
        """The oldest time among them; ``None`` where there are none."""

    @property
    def last_ns(self) -> int | None:
        """The newest time."""

    @property
    def first_sequence(self) -> int:
        """The sequence number of the oldest entry, or of the next one where there is none."""

    @property
    def end_sequence(self) -> int:
        """The sequence number behind the newest entry."""

    @property
    def text_bytes(self) -> int:
        """Size of the lines, newlines included: what ``zstdcat`` would print."""

    @property
    def stored_bytes(self) -> int:
        """Size of the files that hold them."""

    @property
    def segment_count(self) -> int:
        """How many of these files are segments (``.zst``)."""

@final
class Playback:
    """Several streams of a view as one log, merged by time.

    Within a stream the order is that of arrival. A line of several pieces is not torn apart. A stream that cannot be read is
    replaced by an entry that says so.
    """

    def __new__(cls, view: StoreView, *, only_stderr: bool | None) -> Playback:
        """Nothing yet.

        Args:
            view: where the streams are.
            only_stderr: only entries of stderr, or only the others; ``None``: all.
        """

    def add_text(
        self,
        *,
        container_id: str,
        begins_ns: int,
        tail: int | None,
        since_ns: int | None,
        until_ns: int | None,
        times: Literal["local", "utc"] | None,
        details: bytes | None,
        prefix: bytes,
    ) -> None:
        """Add a stream, to be written as ``docker logs`` does. It need not be there yet.

        Args:
            container_id: which.
            begins_ns: none of its entries is older; the stream is not opened before the merge has come there.
            tail: as for ``StoreView.read``, like the next two.
            since_ns: as above.
            until_ns: as above.
            times: each piece begins with its time, in UTC or in the zone of this process (``TZ``).
            details: stands behind the time, followed by a space.
            prefix: stands before each line.
        """

    def add_json(
        self,
        *,
        container_id: str,
        begins_ns: int,
        tail: int | None,
        since_ns: int | None,
        until_ns: int | None,
        members: list[tuple[str, str]],
    ) -> None:
        """Add a stream, to be written as ``Reader.next_json`` does.

        Args:
            container_id: as for ``add_text``, like the next four.
            begins_ns: as above.
            tail: as above.
            since_ns: as above.
            until_ns: as above.
            members: names and values that stand first in each object.
        """

    def next(self, max_bytes: int) -> Printed:
        """Entries of all streams, about ``max_bytes`` of them; nothing when all were given. *May block* on the disk."""

    def look_again(self) -> None:
        """Look for what has come in since the streams ended; ``next`` gives it. *May block* on the disk."""

    def is_over(self) -> bool:
        """Whether all streams have come to entries newer than ``until_ns``."""

@final
class Printed:
    """What a call of ``Playback.next`` gives."""

    @property
    def runs(self) -> list[tuple[bool, bytes]]:
        """What to write, in order, each with whether it goes to stderr."""

    @property
    def entry_count(self) -> int:
        """How many entries these are."""

@final
class Pattern:
    """A regular expression in RE2's syntax, matched in linear time."""

    def __new__(cls, source: str) -> Pattern:
        """Compile it.

        Raises:
            InvalidArgumentError: a syntax error, or a program over the size limit.
        """

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in ``text``."""

@final
class Watchdog:
    """Ends the process when no ``beat`` comes for too long, with one line on stderr and exit code 3.

    A thread counts its own ticks: a process that was stopped meanwhile, or a machine that slept, is not taken for a hang. It
    needs nothing of Python, so that a call which never gives the interpreter back is noticed, too.
    """

    def __new__(cls, *, hang_seconds: int) -> Watchdog:
        """Begin to wait for beats.

        Args:
            hang_seconds: after so long without one the process ends.

        Raises:
            StorageError: no thread is left.
        """

    def beat(self) -> None:
        """The event loop goes round."""

    def close(self) -> None:
        """Wait no longer. A second call does nothing."""

@final
class Finding:
    """Something in a store that is damaged."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def offset(self) -> int:
        """The byte in it from which on it is damaged."""

    @property
    def what(self) -> str:
        """What is wrong there."""

@final
class Verification:
    """What ``verify`` has looked at, and what it has found."""

    @property
    def streams(self) -> int:
        """How many streams there are."""

    @property
    def files(self) -> int:
        """How many files were read."""

    @property
    def entries(self) -> int:
        """How many entries of blocks can be read; those in journals are not counted."""

    @property
    def findings(self) -> list[Finding]:
        """What is damaged; nothing when all is well."""

    @property
    def set_aside(self) -> list[tuple[Path, Path]]:
        """Damaged files: where each was, and where it is now."""

def verify(*, data: str, fifo_root: str, repair: bool) -> Verification:
    """Look at all files of a store. *May block.*

    Without ``repair`` nothing is changed and no lock is needed: a worker may write meanwhile.

    With ``repair`` damaged files are moved to ``damaged/<seconds since 1970>`` in the data folder, and what takes their place is
    well, and says what is missing.

    Args:
        data: the data folder.
        fifo_root: put before the paths of dockerd's FIFOs (``""`` in the plugin); sessions are written down beside them.
        repair: set aside what is damaged.

    Raises:
        StorageError: there is no such folder or no store in it, a newer version has written it, or a worker holds its lock; or the disk failed.
    """

@final
class Converted:
    """What was made of some lines of a json-file log."""

    @property
    def frames(self) -> bytes:
        """A frame for each entry, as dockerd writes them into a FIFO."""

    @property
    def entry_count(self) -> int:
        """How many."""

    @property
    def damage_count(self) -> int:
        """How many runs of bytes are no entry."""

    @property
    def damage(self) -> list[tuple[int, str]]:
        """The first ten of them: the offset in what was given, and what is wrong there."""

def convert_json_file(lines: bytes) -> Converted:
    """Make frames of whole lines of a json-file log.

    What is no such line, as a power cut leaves it, is passed over, up to the next ``{"log":"``. *Takes time* in proportion to
    what is given, with the GIL released.
    """
