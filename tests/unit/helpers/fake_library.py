"""A media library in memory that answers calls, and a driver for the flows that ask it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.protocol import ApiRequest, ApiResponse
from airflow_provider_media._upload.source import iter_chunks, open_source
from airflow_provider_media._upload.spec import prepare_upload
from airflow_provider_media.exceptions import Delivery, MediaError, MediaNotFoundError, MediaUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media._api.flows import Flow, Sleep
    from airflow_provider_media._upload.spec import UploadSpec

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 24


class Clock:
    """A time that passes only by the pauses of flows, and as tests say."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


def make_upload(content: bytes = PNG, name: str = "banner", **arguments: Any) -> UploadSpec:
    return prepare_upload(open_source(BytesIO(content)), name=name, **arguments)


def lost(*, cut_short: bool = False) -> MediaError:
    """What the transport says when no answer came."""
    delivery = Delivery.PARTIAL if cut_short else Delivery.UNKNOWN
    return MediaUnavailableError("Could not upload: the connection broke.", is_transient=True, delivery=delivery)


class FakeLibrary:
    """Answers the four calls.

    :param ids: makes the ids; by default numbers from 1.
    :param totals: whether pages tell the total.
    :param ignores_order: gives the list as stored, whatever order is asked for.
    :param list_leaves_out: keys that entries of the list lack.
    """

    def __init__(
        self,
        *,
        ids: Iterator[int | str] | None = None,
        totals: bool = True,
        ignores_order: bool = False,
        list_leaves_out: tuple[str, ...] = (),
    ) -> None:
        self._ids = ids or iter(range(1, 10_000))
        self._totals = totals
        self._ignores_order = ignores_order
        self._leaves_out = list_leaves_out
        self.files: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.pauses: list[float] = []
        self.contents: list[bytes] = []
        self.on_post: list[Callable[[ApiRequest], ApiResponse | None]] = []
        """What happens instead at the next uploads, one after the other; None is the usual."""
        self.on_call: Callable[[str], None] = lambda _: None
        self.on_pause: Callable[[float], None] = lambda _: None
        self.upload_changes: dict[str, Any] = {}
        """What the answer to an upload says differently."""

    def add(self, name: str = "banner", content: bytes = PNG, **fields: Any) -> dict[str, Any]:
        media = {
            "id": next(self._ids),
            "name": name,
            "mimeType": "image/png",
            "size": len(content),
            "url": "http://h/x",
        }
        self.files.append(media | fields)
        return self.files[-1]

    def store(self, call: ApiRequest) -> dict[str, Any]:
        upload = call.upload
        assert upload is not None
        content = b"".join(bytes(block) for block in iter_chunks(upload.source))
        self.contents.append(content)
        return self.add(upload.name, content, mimeType=upload.mime_type)

    @property
    def ids(self) -> list[int | str]:
        return [media["id"] for media in self.files]

    def posts(self) -> int:
        return sum(call.startswith("POST") for call in self.calls)

    def respond(self, call: ApiRequest) -> ApiResponse:
        line = f"{call.method} {call.path}{'?' if call.params else ''}{'&'.join(map('='.join, call.params))}"
        self.calls.append(line)
        self.on_call(line)
        if call.method == "POST":
            instead = self.on_post.pop(0)(call) if self.on_post else None
            return instead or _reply(self.store(call) | self.upload_changes, 201)
        if not call.path:
            return self._page(dict(call.params))
        found = next((media for media in self.files if str(media["id"]) == call.path[1:]), None)
        if found is None:
            raise MediaNotFoundError("The library has no such file.", status=404)
        if call.method == "DELETE":
            self.files.remove(found)
            return ApiResponse(status=204, headers={})
        return _reply(found)

    def _page(self, params: dict[str, str]) -> ApiResponse:
        files = list(self.files)
        if not self._ignores_order and params.get("sortBy") == "id":
            files.sort(
                key=lambda media: (isinstance(media["id"], str), media["id"]), reverse=params["sortOrder"] == "desc"
            )
        if not self._ignores_order and params.get("sortBy") == "createdAt":
            files.sort(key=lambda media: media.get("createdAt") or "", reverse=params["sortOrder"] == "desc")
        start = int(params["page"]) * int(params["limit"])
        shown = [
            {key: value for key, value in media.items() if key not in self._leaves_out}
            for media in files[start : start + int(params["limit"])]
        ]
        date = {"date": format_datetime(datetime.now(UTC), usegmt=True)}
        return replace(_reply({"items": shown} | ({"total": len(files)} if self._totals else {})), headers=date)

    def run(self, flow: Flow[Any]) -> Any:
        """Drive a flow to its end, as a transport does."""
        try:
            command = next(flow)
            while True:
                try:
                    reply = self._perform(command)
                except MediaError as problem:
                    command = flow.throw(problem)
                else:
                    command = flow.send(reply)
        except StopIteration as end:
            return end.value

    def _perform(self, command: ApiRequest | Sleep) -> ApiResponse:
        if isinstance(command, ApiRequest):
            return self.respond(command)
        self.pauses.append(command.seconds)
        CLOCK.now += command.seconds
        self.on_pause(command.seconds)
        return ApiResponse(status=0, headers={})


def _reply(value: Any, status: int = 200) -> ApiResponse:
    return ApiResponse(status=status, headers={}, body=json.dumps(value).encode())
