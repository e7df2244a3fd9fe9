from logboom.plugin.notice import NOTICE_LIMIT, encode_notice
from tests.support.fake_docker import Entry, FrameDecoder


def notice(text: str, since_ns: int | None = None, until_ns: int | None = None) -> Entry:
    decoder = FrameDecoder()
    (entry,) = decoder.feed(encode_notice(text, now_ns=1000, since_ns=since_ns, until_ns=until_ns))
    decoder.finish()
    return entry


def test_a_notice_is_a_line_on_stderr() -> None:
    assert notice("the disk is full") == Entry("stderr", 1000, b"logboom: the disk is full\n")


def test_a_notice_is_dated_so_that_dockerd_shows_it() -> None:
    assert notice("x", since_ns=2000).time_ns == 2000
    assert notice("x", until_ns=500).time_ns == 500
    assert notice("x", since_ns=100, until_ns=5000).time_ns == 1000


def test_a_notice_is_limited_and_may_hold_any_text() -> None:
    assert len(notice("x" * (NOTICE_LIMIT + 1)).line) == NOTICE_LIMIT + len("logboom: \n")
    assert notice("\udcff").line == b"logboom: ?\n"
