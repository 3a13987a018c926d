"""What a test wants to know of, and do to, a running sandbox."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from airflow_provider_media.sandbox.server import RunningSandbox


class SandboxLibrary:
    """Looks at the sandbox from outside, past the hook.

    :param sandbox: the sandbox; one of the default dialect. The certificate of one over TLS is to be found by the
        environment (``REQUESTS_CA_BUNDLE``).
    """

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox = sandbox
        self._headers = {"X-Api-Key": sandbox.api_key}

    def emptied(self) -> SandboxLibrary:
        """Start anew."""
        self._control("DELETE", "faults")
        while files := self.files():  # a page of them
            for media in files:
                self.delete(media["id"])
        self.forget()
        return self

    def fail(self, fault: str, method: str = "POST", **options: Any) -> None:
        """Let a fault strike the next calls."""
        self._control("POST", "faults", {"fault": fault, "method": method, **options})

    def pending(self) -> list[dict[str, Any]]:
        """Tell the faults that did not strike yet."""
        faults: list[dict[str, Any]] = self._control("GET", "faults").json()
        return faults

    def files(self) -> list[dict[str, Any]]:
        """Tell what the library holds, oldest first."""
        params: dict[str, Any] = {"limit": 1000, "sortBy": "id", "sortOrder": "asc"}
        answer = requests.get(self.sandbox.media_url, params=params, headers=self._headers, timeout=5)
        files: list[dict[str, Any]] = answer.json()["content"]
        return files

    def stored(self) -> list[dict[str, Any]]:
        """Return all that the library holds, oldest first, also where its lists lag."""
        files: list[dict[str, Any]] = self._control("GET", "library").json()
        return files

    def post(self, name: str, content: bytes) -> requests.Response:
        """Upload a file as somebody else would."""
        return requests.post(
            self.sandbox.media_url,
            files={"file": ("a.png", content)},
            data={"name": name},
            headers=self._headers,
            timeout=5,
        )

    def store(self, name: str, content: bytes) -> int:
        """Put a file there as somebody else would; return its id."""
        stored = self.post(name, content).json()
        media_id: int = stored["id"] if "id" in stored else stored["mediaId"]
        return media_id

    def delete(self, media_id: int) -> None:
        """Delete a file as somebody else would."""
        requests.delete(f"{self.sandbox.media_url}/{media_id}", headers=self._headers, timeout=5).raise_for_status()

    def journal(self) -> list[dict[str, Any]]:
        """Tell the calls since the last :meth:`forget`, oldest first."""
        calls: list[dict[str, Any]] = self._control("GET", "requests").json()
        return calls

    def methods(self) -> str:
        """Tell their methods, as in "GET POST"."""
        return " ".join(call["method"] for call in self.journal())

    def count(self, method: str) -> int:
        """Tell how many of them had this method."""
        return self.methods().split().count(method)

    def forget(self) -> None:
        """Forget the calls so far."""
        self._control("DELETE", "requests")

    def _control(self, method: str, path: str, value: Any = None) -> requests.Response:
        answer = requests.request(method, f"{self.sandbox.base_url}/_sandbox/{path}", json=value, timeout=5)
        answer.raise_for_status()
        return answer


def sha256_of(source: str | bytes) -> str:
    """Return the checksum of bytes, or of what an address serves."""
    content = source if isinstance(source, bytes) else requests.get(source, timeout=5).content
    return hashlib.sha256(content).hexdigest()
