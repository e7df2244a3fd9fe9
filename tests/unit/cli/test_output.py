"""What is shown of names, which may come from anywhere: a foreign copy of a store, ``import --name``."""

from logboom.cli.output import Prefixes, table

NAME = "we\x1b[2Jb\u202e"
SHOWN = "we\\x1b[2Jb\\u202e"


def test_a_name_sends_nothing_to_the_terminal() -> None:
    assert (
        table(("NAME", "ID"), [(NAME, "1")], right=()) == f"{'NAME':{len(SHOWN)}}  ID\n{SHOWN}  1\n"
    )
    assert Prefixes([NAME], colour=False).of(NAME) == f"{SHOWN} | ".encode()
