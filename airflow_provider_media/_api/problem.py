"""The one kind of trouble the inner rooms know: a :class:`Problem`, said in words and sorted by what it means.

The public error tree (:mod:`airflow_provider_media.exceptions`) hangs on Airflow's, which nothing in here imports;
the hook turns a problem into its public error in one place.
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """What a problem means to the caller; each kind has one public error class."""

    CONFIGURATION = "a field of the connection or an argument is wrong"
    FILE = "the local file cannot be sent"
    UNSUPPORTED = "the library does not accept the type of the local file"
    REQUEST = "the server refuses the request for good"
    AUTH = "the server refuses the caller"
    NOT_FOUND = "no such media"
    CONFLICT = "another file of that name is in the way"
    IN_USE = "something still refers to the media"
    RATE_LIMIT = "too many requests"
    UNAVAILABLE = "the server cannot be reached or fails"
    RESPONSE = "the answer makes no sense"
    CANCELLED = "the task was stopped"


class Problem(Exception):  # noqa: N818 - it is turned into a public ...Error before anybody outside sees it
    """Something went wrong, with all that is needed to decide what to do about it.

    :param kind: what it means.
    :param message: one sentence for a person: what is wrong and what to do.
    :param status: the HTTP status, when there was an answer.
    :param server_message: the server's own words, when it said any.
    :param request_id: the server's name for the request, to quote to its support.
    :param transient: whether the same request may well succeed a little later.
    :param maybe_acted: whether the server may have done what was asked, although the answer does not say so.
    :param retry_after: the seconds that the server asks to wait before trying again.
    :param by_api: whether the response has the API's own error shape: no proxy wrote it.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        server_message: str | None = None,
        request_id: str | None = None,
        transient: bool = False,
        maybe_acted: bool = False,
        retry_after: float | None = None,
        by_api: bool = False,
    ) -> None:
        """Keep what is known."""
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.server_message = server_message
        self.request_id = request_id
        self.transient = transient
        self.maybe_acted = maybe_acted
        self.retry_after = retry_after
        self.by_api = by_api
        self.after_lost_answer = False
        """Set by the transport when an earlier attempt of the same request may already have acted."""
        self.tells_of_other = False
        """Whether the response is about another file than was asked for."""
        self.body_cut_short = False
        """Set by the transport when the upload's end was never handed over, so that no whole file can be stored."""
