"""Direct access to a running sandbox for tests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from airflow_provider_media.sandbox.server import Sandbox


class SandboxLibrary:
    """Reads and changes the sandbox's library without the hook.

    :param sandbox: a sandbox with the default dialect. With TLS, set ``REQUESTS_CA_BUNDLE`` to its certificate.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._headers = {"X-Api-Key": sandbox.api_key}

    def emptied(self) -> SandboxLibrary:
        """Remove all faults, files and logged requests; return this object."""
        self._control("DELETE", "faults")
        while files := self.files():  # one page
            for media in files:
                self.delete(media["id"])
        self.forget()
        return self

    def fail(self, fault: str, method: str = "POST", **options: Any) -> None:
        """Queue a fault."""
        self._control("POST", "faults", {"fault": fault, "method": method, **options})

    def pending(self) -> list[dict[str, Any]]:
        """Return the pending faults."""
        faults: list[dict[str, Any]] = self._control("GET", "faults").json()
        return faults

    def files(self) -> list[dict[str, Any]]:
        """Return the first 1,000 files of the list, oldest first."""
        params: dict[str, Any] = {"limit": 1000, "sortBy": "id", "sortOrder": "asc"}
        response = requests.get(self.sandbox.media_url, params=params, headers=self._headers, timeout=5)
        files: list[dict[str, Any]] = response.json()["content"]
        return files

    def stored(self) -> list[dict[str, Any]]:
        """Return all files, oldest first, without list lag."""
        files: list[dict[str, Any]] = self._control("GET", "library").json()
        return files

    def post(self, name: str, content: bytes, **fields: Any) -> requests.Response:
        """Upload a file as another client."""
        return requests.post(
            self.sandbox.media_url,
            files={"file": ("a.png", content)},
            data={"name": name, **fields},
            headers=self._headers,
            timeout=5,
        )

    def store(self, name: str, content: bytes, **fields: Any) -> int:
        """Upload a file as another client; return its id."""
        stored = self.post(name, content, **fields).json()
        media_id: int = stored["id"] if "id" in stored else stored["mediaId"]
        return media_id

    def delete(self, media_id: int) -> None:
        """Delete a file as another client."""
        requests.delete(f"{self.sandbox.media_url}/{media_id}", headers=self._headers, timeout=5).raise_for_status()

    def journal(self) -> list[dict[str, Any]]:
        """Return the requests since the last :meth:`forget`, oldest first."""
        calls: list[dict[str, Any]] = self._control("GET", "requests").json()
        return calls

    def methods(self) -> str:
        """Return the methods of these requests, such as "GET POST"."""
        return " ".join(call["method"] for call in self.journal())

    def count(self, method: str) -> int:
        """Return the number of these requests with a method."""
        return self.methods().split().count(method)

    def forget(self) -> None:
        """Clear the request log."""
        self._control("DELETE", "requests")

    def _control(self, method: str, path: str, value: Any = None) -> requests.Response:
        response = requests.request(method, f"{self.sandbox.base_url}/_sandbox/{path}", json=value, timeout=5)
        response.raise_for_status()
        return response


def sha256_of(source: str | bytes) -> str:
    """Return the checksum of bytes, or of the content of a URL."""
    content = source if isinstance(source, bytes) else requests.get(source, timeout=5).content
    return hashlib.sha256(content).hexdigest()
