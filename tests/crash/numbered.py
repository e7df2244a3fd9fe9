"""Numbered lines: written, read back, and judged."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.support.fake_docker import Entry, FrameDecoder, encode_frame

NUMBER_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of lines that were numbered from 1.

    Attributes:
        logged: how many there were.
        lost: how many are missing.
        doubled: how many there are too many.
        out_of_order: how many come behind a larger one, for the first time.
        strange: lines that nobody has logged, the first few.
    """

    logged: int
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    strange: tuple[bytes, ...] = ()

    @property
    def is_good(self) -> bool:
        return self == Verdict(self.logged)

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.logged + other.logged,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.out_of_order + other.out_of_order,
            self.strange + other.strange,
        )

    @property
    def text(self) -> str:
        told = (
            f"{self.logged} entries, {self.lost} lost, {self.doubled} doubled,"
            f" {self.out_of_order} out of order"
        )
        return f"{told}; strange: {self.strange}" if self.strange else told


def judge(lines: Iterable[bytes], logged: int) -> Verdict:
    """Judge lines, without their newlines, of which each was to be there once and in order."""
    seen: set[int] = set()
    doubled = out_of_order = largest = 0
    strange: list[bytes] = []
    for line in lines:
        if not line.isdigit() or not 0 < int(line) <= logged:
            strange.append(line)
            continue
        number = int(line)
        if number in seen:
            doubled += 1
            continue
        seen.add(number)
        out_of_order += number < largest
        largest = max(number, largest)
    return Verdict(logged, logged - len(seen), doubled, out_of_order, tuple(strange[:5]))


@dataclass
class NumberedFrames:
    """Frames of numbered lines that all have the same length and time, so that millions of them are made and compared at
    once."""

    time_ns: int
    _template: bytes = field(init=False)
    _shown_template: bytes = field(init=False)

    def __post_init__(self) -> None:
        digits = b"0" * NUMBER_DIGITS
        entry = Entry("stdout", self.time_ns, digits)
        form = b"%%0%dd" % NUMBER_DIGITS
        self._template, self._shown_template = (
            encode_frame(made).replace(b"%", b"%%").replace(digits, form)
            for made in (entry, entry.as_shown())
        )

    def written(self, first: int, end: int) -> bytes:
        """As dockerd writes them."""
        return b"".join([self._template % number for number in range(first, end)])

    def shown(self, first: int, end: int) -> bytes:
        """As they are read back."""
        return b"".join([self._shown_template % number for number in range(first, end)])

    @property
    def shown_bytes(self) -> int:
        """The length of one that is read back."""
        return len(self._shown_template % 0)


@dataclass
class FrameCheck:
    """Takes what is read back, piece by piece. As long as it is right it is only compared.

    Args:
        frames: how they were made.
        first: the first number that is expected; ``None``: whichever comes.
    """

    frames: NumberedFrames
    first: int | None = 1
    _rest: bytes = b""
    _next: int = 0
    _wrong: list[bytes] | None = None
    _decoder: FrameDecoder = field(default_factory=FrameDecoder)

    def feed(self, data: bytes) -> None:
        if self._wrong is not None:
            self._wrong += [entry.line.rstrip(b"\n") for entry in self._decoder.feed(data)]
            return
        data = self._rest + data
        count = len(data) // self.frames.shown_bytes
        if self.first is None and count:
            (entry,) = FrameDecoder().feed(data[: self.frames.shown_bytes])
            self.first = int(entry.line)
        if self.first is None:
            self._rest = data
            return
        whole = count * self.frames.shown_bytes
        expected = self.frames.shown(self.first + self._next, self.first + self._next + count)
        if data[:whole] == expected:
            self._next += count
            self._rest = data[whole:]
            return
        # Something is wrong: from here on it is looked at line by line.
        self._wrong = []
        self.feed(data)

    @property
    def count(self) -> int:
        """How many right ones there were before anything else."""
        return self._next

    @property
    def wrong(self) -> list[bytes]:
        """The lines from the first that is wrong on."""
        return self._wrong or []

    def verdict(self, logged: int) -> Verdict:
        """Judge all, where ``logged`` is the largest number."""
        assert self.first == 1
        later = judge(self.wrong, logged)
        if not self.wrong:
            return Verdict(logged, lost=logged - self._next)
        good = set(range(1, self._next + 1))
        numbers = [int(line) for line in self.wrong if line.isdigit()]
        return Verdict(
            logged,
            lost=later.lost - len(good - set(numbers)),
            doubled=later.doubled + len(good & set(numbers)),
            out_of_order=later.out_of_order,
            strange=later.strange,
        )
