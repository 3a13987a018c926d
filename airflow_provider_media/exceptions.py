"""The errors that this package raises, one tree under Airflow's own.

::

    AirflowException
    └── MediaError                    the root
        ├── MediaConfigurationError * a field of the connection or an argument is invalid; nothing was sent
        ├── MediaFileError          * the local file: missing, empty, unsupported type, changed during the upload
        ├── MediaRequestError       * 400 and other 4xx: retrying cannot help
        │   ├── MediaAuthError      * 401, 403
        │   └── MediaNotFoundError  * 404
        ├── MediaConflictError      * the name is taken, or several files could be the uploaded one
        ├── MediaInUseError         * a deletion refused because something still refers to the media
        ├── MediaResponseError      * an invalid response (not JSON, no id, a redirect)
        ├── MediaRateLimitError       429, after all attempts or the retry budget
        ├── MediaUnavailableError     408, 425, 5xx, no connection, or no response, after all attempts
        └── TransferAbortedError      the task was stopped, or the hook was closed

Those marked * are AirflowFailExceptions too: retrying cannot fix them, so a task that raises one fails immediately,
regardless of its ``retries``. None is an OSError, because HTTP clients treat an OSError raised by a request body as a
broken connection.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException


class Delivery(Enum):
    """How far a request got, as far as the client can know."""

    NOT_SENT = "the server did not act: it never got the request, or rejected it"
    PARTIAL = "the server got a part of the body, so it cannot have stored a whole file"
    UNKNOWN = "the server may have acted, because its response is missing or invalid"
    CONFIRMED = "the server confirmed the request"


class MediaError(AirflowException):
    """The root of the tree.

    :param message: one sentence: what failed, the cause and what to do.
    :param status: the HTTP status, if there was a response.
    :param server_message: the server's own message, if any.
    :param request_id: the server's id of the request, to quote to its support.
    :param retry_after: seconds from ``Retry-After``.
    :param is_transient: whether the same request may succeed a little later.
    :param delivery: what became of the request.
    :param is_from_api: whether the response has the API's own error format, so that no proxy sent it.
    """

    retryable: ClassVar[bool] = True
    """Whether a retry of the task can help."""

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        server_message: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        is_transient: bool = False,
        delivery: Delivery = Delivery.NOT_SENT,
        is_from_api: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.server_message = server_message
        self.request_id = request_id
        self.retry_after = retry_after
        self.is_transient = is_transient
        self.delivery = delivery
        self.is_from_api = is_from_api


class _PermanentError(MediaError, AirflowFailException):
    """An error that retrying cannot fix."""

    retryable = False


class MediaConfigurationError(_PermanentError, ValueError):
    """A field of the connection or an argument is invalid; nothing was sent."""


class MediaFileError(_PermanentError):
    """The local file: missing, empty, unreadable, of an unsupported type, or changed during the upload.

    :ivar is_unsupported_type: whether the library does not accept the type of the file.
    """

    is_unsupported_type = False


class MediaRequestError(_PermanentError):
    """The server permanently rejects the request (400 and other 4xx)."""


class MediaAuthError(MediaRequestError):
    """The server rejects the API key (401) or this machine's address (403)."""


class MediaNotFoundError(MediaRequestError):
    """The library has no such file (404)."""


class MediaConflictError(_PermanentError):
    """The name is taken (``if_exists="fail"``), or several files could be the uploaded one."""


class MediaInUseError(_PermanentError):
    """A deletion refused because something still refers to the media."""


class MediaResponseError(_PermanentError):
    """An invalid response: not JSON, no id, truncated, a redirect, another size than was sent."""


class MediaRateLimitError(MediaError):
    """Too many requests (429), after all attempts or the retry budget."""


class MediaUnavailableError(MediaError):
    """The server failed (408, 425, 5xx), was not reached or did not respond, after all attempts or the retry budget."""


class TransferAbortedError(MediaError):
    """The task was stopped, or the hook was closed, during a request."""
