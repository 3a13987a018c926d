"""The errors that this package raises, one tree under Airflow's own.

::

    AirflowException
    └── MediaError                    the root
        ├── MediaConfigurationError * a field of the connection or an argument is wrong; nothing was sent
        ├── MediaFileError          * the local file: missing, empty, unsupported type, changed while being sent
        ├── MediaRequestError       * 400 and other 4xx: asking again cannot help
        │   ├── MediaAuthError      * 401, 403
        │   └── MediaNotFoundError  * 404
        ├── MediaConflictError      * the name is taken, or it is in doubt which file is the one
        ├── MediaInUseError         * a delete refused because something still refers to the media
        ├── MediaResponseError      * an answer that makes no sense (not JSON, no id, a redirect)
        ├── MediaRateLimitError       429, after the attempts or the budget are used up
        └── MediaUnavailableError     5xx, no connection, or no answer, likewise

Those marked * are AirflowFailExceptions too: asking again cannot mend them, so a task that raises one fails at once,
whatever its ``retries``. None is an OSError: HTTP clients take an OSError out of a body for a broken connection.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media._api.secret import redact_urls

if TYPE_CHECKING:
    from collections.abc import Iterator


class MediaError(AirflowException):
    """The root of the tree.

    :param message: one sentence: what is wrong and what to do.
    :param status: the HTTP status, when there was an answer.
    :param server_message: the server's own words, when it said any.
    :param request_id: the server's name for the request.
    :param retry_after: the seconds that the server asked to wait before trying again.
    """

    retryable: ClassVar[bool] = True
    """Whether trying again later can help."""

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        server_message: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Keep what is known."""
        super().__init__(message)
        self.status = status
        self.server_message = server_message
        self.request_id = request_id
        self.retry_after = retry_after


class _PermanentError(MediaError, AirflowFailException):
    """What asking again cannot mend."""

    retryable = False


class MediaConfigurationError(_PermanentError, ValueError):
    """A field of the connection or an argument is wrong; nothing was sent."""


class MediaFileError(_PermanentError):
    """The local file: missing, empty, unreadable, of an unsupported type, or changed while being sent."""


class MediaRequestError(_PermanentError):
    """The server refuses the request for good (400 and other 4xx)."""


class MediaAuthError(MediaRequestError):
    """The server refuses the key (401) or this machine's address (403)."""


class MediaNotFoundError(MediaRequestError):
    """The library has no such file (404)."""


class MediaConflictError(_PermanentError):
    """The name is taken (``if_exists="fail"``), or two files could be the one that was sent."""


class MediaInUseError(_PermanentError):
    """A delete refused because something still refers to the media."""


class MediaResponseError(_PermanentError):
    """An answer that makes no sense: not JSON, no id, cut off, a redirect, another size than was sent."""


class MediaRateLimitError(MediaError):
    """Too many requests (429), still when the attempts or the budget were used up."""


class MediaUnavailableError(MediaError):
    """The server failed (5xx), could not be reached or did not answer, until attempts or budget were used up."""


_CLASSES: dict[Kind, type[MediaError]] = {
    Kind.CONFIGURATION: MediaConfigurationError,
    Kind.FILE: MediaFileError,
    Kind.UNSUPPORTED: MediaFileError,
    Kind.REQUEST: MediaRequestError,
    Kind.AUTH: MediaAuthError,
    Kind.NOT_FOUND: MediaNotFoundError,
    Kind.CONFLICT: MediaConflictError,
    Kind.IN_USE: MediaInUseError,
    Kind.RATE_LIMIT: MediaRateLimitError,
    Kind.UNAVAILABLE: MediaUnavailableError,
    Kind.RESPONSE: MediaResponseError,
    Kind.CANCELLED: MediaError,
}


def error_class(kind: Kind) -> type[MediaError]:
    """Tell which error of this module a kind of problem is."""
    return _CLASSES[kind]


@contextmanager
def public_errors() -> Iterator[None]:
    """Map internal errors to public exceptions."""
    try:
        yield
    except Problem as problem:
        raise public_error(problem) from problem.__cause__ if _is_free_of_secrets(problem.__cause__) else None


def _is_free_of_secrets(error: BaseException | None) -> bool:
    """Whether a traceback may show an error and its causes: libraries repeat URLs with their credentials."""
    while error is not None:
        if redact_urls(str(error)) != str(error):
            return False
        error = error.__cause__ or error.__context__
    return True


def public_error(problem: Problem) -> MediaError:
    """Map one internal error to its public exception."""
    return _CLASSES[problem.kind](
        problem.message,
        status=problem.status,
        server_message=problem.server_message,
        request_id=problem.request_id,
        retry_after=problem.retry_after,
    )
