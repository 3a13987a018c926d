"""The public error tree."""

from __future__ import annotations

import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_media import exceptions
from airflow_provider_media.exceptions import Delivery, MediaError, MediaRequestError, TransferAbortedError

ERRORS = [value for value in vars(exceptions).values() if isinstance(value, type) and issubclass(value, MediaError)]
RETRYABLE = {MediaError, exceptions.MediaRateLimitError, exceptions.MediaUnavailableError, TransferAbortedError}


def test_the_tree_shows_all_public_classes() -> None:
    shown = [word for word in (exceptions.__doc__ or "").split() if word.startswith("Media") and word.endswith("Error")]
    public = {error.__name__ for error in ERRORS if error.__name__.startswith("Media")}
    assert public == set(shown)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_an_airflow_exception_and_none_an_os_error(error: type[MediaError]) -> None:
    assert issubclass(error, AirflowException)
    assert not issubclass(error, OSError)


@pytest.mark.parametrize("error", ERRORS)
def test_permanent_errors_fail_the_task_without_retries(error: type[MediaError]) -> None:
    assert issubclass(error, AirflowFailException) is (error not in RETRYABLE)
    assert error.retryable is (error in RETRYABLE)


def test_auth_and_not_found_are_request_errors_and_a_wrong_argument_is_a_value_error() -> None:
    assert issubclass(exceptions.MediaAuthError, exceptions.MediaRequestError)
    assert issubclass(exceptions.MediaNotFoundError, exceptions.MediaRequestError)
    assert issubclass(exceptions.MediaConfigurationError, ValueError)


def test_error_has_all_attributes() -> None:
    error = MediaRequestError("why", status=400, server_message="said", request_id="r-7", delivery=Delivery.UNKNOWN)
    assert (str(error), error.status, error.server_message, error.request_id) == ("why", 400, "said", "r-7")
    assert error.delivery is Delivery.UNKNOWN


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_survives_pickling(error: type[MediaError]) -> None:
    given = error("why", status=400, server_message="said", request_id="r-7")
    copy = pickle.loads(pickle.dumps(given))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), vars(copy)) == (error, "why", vars(given))
