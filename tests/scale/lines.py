"""Numbered lines of about ninety bytes, that compress as logs do, a few at a time."""

import time
from random import Random

from tests.crash.numbered import NUMBER_DIGITS
from tests.support.fake_docker import Entry, encode_frame

TEMPLATES = 100
WORDS = 3000
WORD_BITS = 28
WORDS_PER_LINE = 10


class Lines:
    """Makes frames faster than one by one.

    Args:
        at_once: how many each call gives.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._random = Random(4)
        self._words = [f"{self._random.getrandbits(WORD_BITS):x}" for _ in range(WORDS)]
        self._templates: list[bytes] = []
        self.renew()

    def renew(self) -> None:
        """Other words and another time."""
        self._templates = [self._template() for _ in range(TEMPLATES)]

    def _template(self) -> bytes:
        digits = b"0" * NUMBER_DIGITS
        frames = []
        for _ in range(self._at_once):
            words = " ".join(self._random.choices(self._words, k=WORDS_PER_LINE))
            frame = encode_frame(Entry("stdout", time.time_ns(), digits + b" " + words.encode()))
            frames.append(frame.replace(b"%", b"%%").replace(digits, b"%%0%dd" % NUMBER_DIGITS))
        return b"".join(frames)

    def written(self, first: int, at: int) -> bytes:
        """Lines from number ``first`` on; another ``at`` gives other words."""
        return self._templates[at % TEMPLATES] % tuple(range(first, first + self._at_once))
