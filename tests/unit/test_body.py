"""Test that servers parse the multipart body to the exact fields and bytes."""

from __future__ import annotations

import email.parser
import email.policy
import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser, parse_options_header

from airflow_provider_media._transports.sync import multipart_body
from airflow_provider_media._upload.body import StreamingBody
from airflow_provider_media._upload.source import BLOCK_BYTES, FileRegion, open_source
from airflow_provider_media._upload.spec import prepare_upload
from airflow_provider_media.exceptions import MediaError, MediaFileError

if TYPE_CHECKING:
    from pathlib import Path


def whole(body: StreamingBody) -> bytes:
    return b"".join(bytes(block.fill() if isinstance(block, FileRegion) else block) for block in body)


def body_of(content: bytes, **arguments: Any) -> StreamingBody:
    return StreamingBody(before=b"<<", source=open_source(io.BytesIO(content)), after=b">>", **arguments)


def test_a_body_declares_its_length_and_keeps_it_at_each_attempt() -> None:
    body = body_of(b"content")
    assert len(body) == 11
    assert [whole(body), whole(body)] == [b"<<content>>", b"<<content>>"]


def test_progress_is_reported_for_each_block(tmp_path: Path) -> None:
    taken: list[int] = []
    whole(body_of(b"x" * (BLOCK_BYTES + 5), on_block=taken.append))
    assert taken == [BLOCK_BYTES, BLOCK_BYTES + 5]
    taken.clear()
    (tmp_path / "a").write_bytes(b"x" * (BLOCK_BYTES + 5))
    whole(StreamingBody(before=b"", source=open_source(tmp_path / "a"), after=b"", on_block=taken.append))
    assert taken == [BLOCK_BYTES, BLOCK_BYTES + 5]


def test_a_body_is_finished_after_its_last_block() -> None:
    body = body_of(b"content")
    states = [(bytes(block), body.finished) for block in body]
    assert states == [(b"<<", False), (b"content", False), (b">>", True)]


def test_transfer_seconds_span_first_to_last_byte() -> None:
    now = [100.0]
    body = body_of(b"x" * (BLOCK_BYTES + 5), clock=lambda: now[0])
    now[0] += 7  # connecting
    blocks = iter(body)
    lasted = []
    for _ in range(4):
        next(blocks)
        lasted.append(body.transfer_seconds)
        now[0] += 2  # sending
    assert list(blocks) == []
    now[0] += 50  # no response
    assert [*lasted, body.transfer_seconds] == [0, 0, 4, 6, 8]


@pytest.mark.parametrize("change", [b"", b" and more"])
def test_a_source_that_shrank_or_grew_never_gets_the_end_of_its_body(change: bytes) -> None:
    stream = io.BytesIO(b"content")
    body = StreamingBody(before=b"<<", source=open_source(stream), after=b">>")
    stream.truncate(4)
    stream.seek(0, io.SEEK_END)
    stream.write(b"ent" + change if change else b"")
    given: list[bytes] = []
    with pytest.raises(MediaError, match="while it was being sent") as raised:
        given.extend(bytes(block) for block in body)
    assert type(raised.value) is MediaFileError
    assert b">>" not in given
    assert not body.finished


def test_a_file_that_shrank_or_grew_never_gets_the_end_of_its_body(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    body = StreamingBody(before=b"<<", source=open_source(path), after=b">>")
    blocks = iter(body)
    next(blocks)
    next(blocks)
    with path.open("ab") as stream:
        stream.write(b" and more")
    with pytest.raises(MediaError, match="while it was being sent"):
        next(blocks)
    assert not body.finished


class Reader:
    """Parses a body with python-multipart, as many servers do."""

    def __init__(self, content_type: str, body: bytes) -> None:
        self.parts: list[tuple[dict[bytes, bytes], bytes, bytes]] = []
        self._header = [b"", b""]
        kind, options = parse_options_header(content_type)
        assert kind == b"multipart/form-data"
        callbacks: dict[str, Any] = {
            "on_part_begin": lambda: self.parts.append(({}, b"", b"")),
            "on_header_field": lambda data, start, end: self._grow_header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._grow_header(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._change(content=data[start:end]),
        }
        parser = MultipartParser(options[b"boundary"], callbacks)
        assert parser.write(body) == len(body)
        parser.finalize()

    def _grow_header(self, place: int, data: bytes) -> None:
        self._header[place] += data

    def _end_header(self) -> None:
        name, value = self._header
        self._header = [b"", b""]
        if name.lower() == b"content-disposition":
            self._change(options=parse_options_header(value)[1])
        elif name.lower() == b"content-type":
            self._change(mime_type=value)

    def _change(self, *, options: Any = None, mime_type: bytes = b"", content: bytes = b"") -> None:
        old = self.parts[-1]
        self.parts[-1] = (options or old[0], mime_type or old[1], old[2] + content)


def printable(text: str) -> bool:
    return text.strip() not in {"", "None", ".", ".."} and all(c.isprintable() and c not in '"\\/' for c in text)


NAMES = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() not in {"", "None"})
FILE_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(printable)
CONTENTS = st.binary(max_size=200).map(lambda content: b"GIF89a" + content)


@given(
    name=NAMES,
    description=st.none() | NAMES,
    folder_id=st.none() | st.integers(1),
    file_name=FILE_NAMES,
    content=CONTENTS,
)
def test_servers_read_exactly_the_name_description_and_bytes(
    name: str, description: str | None, folder_id: int | None, file_name: str, content: bytes
) -> None:
    upload = prepare_upload(
        open_source(io.BytesIO(content)), name=name, description=description, folder_id=folder_id, file_name=file_name
    )
    body, content_type = multipart_body(upload)
    sent = whole(body)
    assert len(sent) == len(body)
    fields = {"name": name, "description": description, "folderId": folder_id}
    expected = [(key, str(value).encode()) for key, value in fields.items() if value is not None]

    *texts, (options, mime_type, received) = Reader(content_type, sent).parts
    assert [(part[0][b"name"].decode(), part[2]) for part in texts] == expected
    assert (options[b"name"], options[b"filename"].decode()) == (b"file", file_name)
    assert (mime_type, received) == (b"image/gif", content)


@given(name=NAMES.filter(lambda text: not {"\r", "\n"} & set(text)), file_name=FILE_NAMES, content=CONTENTS)
@example(name="a", file_name="Frühling 🎉 אביב.gif", content=b"GIF89a")
def test_pythons_own_parser_reads_the_same(name: str, file_name: str, content: bytes) -> None:
    upload = prepare_upload(open_source(io.BytesIO(content)), name=name, file_name=file_name)
    body, content_type = multipart_body(upload)
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + whole(body))
    text, file = message.iter_parts()
    assert text.get_payload(decode=True) == name.encode()
    # get_filename() would strip it.
    assert (file["Content-Disposition"].params["filename"], file.get_content_type()) == (file_name, "image/gif")
    assert file.get_payload(decode=True) == content


def test_each_attempt_has_a_boundary_of_its_own() -> None:
    upload = prepare_upload(open_source(io.BytesIO(b"GIF89a.")), name="a")
    assert multipart_body(upload)[1] != multipart_body(upload)[1]
