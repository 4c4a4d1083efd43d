"""Our reader of headers says what the client library's says."""

from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from agentflow.bus.headers import parse_headers

lines = st.one_of(
    st.builds(
        lambda name, gap, value: f"{name}:{gap}{value}".encode(),
        st.from_regex(r"\A[A-Za-z][A-Za-z0-9_.-]{0,20}\Z"),
        st.sampled_from(["", " ", "\t", "  "]),
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x85\u2028"), max_size=30),
    ),
    st.sampled_from([b"", b"no colon", b"with space: x", b": no name", b"x: \xff\xfe", b"\xff: x"]),
)


@given(st.lists(lines, max_size=12))
def test_headers_are_read_as_the_client_library_reads_them(block: list[bytes]) -> None:
    raw = b"\r\n".join([*block, b"", b""])
    assert parse_headers(raw) == Client._parse_header_lines(raw)
