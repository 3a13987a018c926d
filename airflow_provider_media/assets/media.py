"""Files of the media library as assets: ``media://<connection>/<name>``, both percent-encoded, their case kept.

An asset stands for a name in the library, so that DAGs can be scheduled on it; which file bears the name, the asset's
events tell. Airflow 2.11 calls assets datasets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset

    from airflow_provider_media.models import Media

SCHEME = "media"

_MAX_URI_LENGTH = 1500
"""What Airflow 3 takes as an asset's name or URI, in characters."""


def media_asset(media_conn_id: str, name: str, *, extra: dict[str, Any] | None = None) -> Asset:
    """Make the asset of a name in a media library; the one way to make it, so that producer and consumer agree.

    Airflow renders no templates in assets: where each run uploads under a name of its own (``banner-{{ ds }}``), give
    the asset the name of what these files are together (``banner``).

    :param media_conn_id: the Airflow connection of the library.
    :param name: the human-readable name.
    :param extra: metadata of the asset itself, as JSON values.
    :raises ValueError: the connection or the name is empty, or too long for an asset.
    """
    from airflow.providers.common.compat.sdk import Asset

    return Asset(uri=media_uri(media_conn_id, name), extra=extra)


def media_uri(media_conn_id: str, name: str) -> str:
    """Return the URI of a name in a media library.

    :param media_conn_id: the Airflow connection of the library.
    :param name: the human-readable name.
    :raises ValueError: the connection or the name is empty, or too long for an asset.
    """
    for what, text in (("connection", media_conn_id), ("name", name)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"A media asset needs a {what}, not {text!r}.")
    try:
        uri = f"{SCHEME}://{_encode(media_conn_id)}/{_encode(name)}"
    except UnicodeEncodeError:
        raise ValueError(f"The name {name!r} of a media asset cannot be written in UTF-8.") from None
    if len(uri) > _MAX_URI_LENGTH:
        raise ValueError(
            f"The media asset of {name[:40]!r}... is too long: its URI has {len(uri)} characters, and Airflow takes"
            f" {_MAX_URI_LENGTH}."
        )
    return uri


def read_media_uri(uri: str) -> tuple[str, str]:
    """Return the connection and the name that a media asset's URI stands for: the inverse of :func:`media_uri`.

    :param uri: such as ``asset.uri``.
    :raises ValueError: it is no URI of a media asset.
    """
    return _read(urlsplit(uri))


def media_extra(media: Media) -> dict[str, Any]:
    """Tell what an asset event says of a file: ``id``, ``name``, ``url``, ``type`` (MIME) and ``size`` (bytes).

    :param media: the file.
    """
    return {"id": media.id, "name": media.name, "url": media.url, "type": media.mime_type, "size": media.size}


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check and normalise the URI of a media asset; Airflow calls it for each.

    Case is kept; what is written unencoded is encoded, slashes too, so that one name has one URI.

    :param uri: the parts, from which Airflow has removed fragment, user and slashes at the end.
    :raises ValueError: it has no connection, no name, or a query.
    """
    return urlsplit(media_uri(*_read(uri)))


def create_asset(*, media_conn_id: str, name: str, extra: dict[str, Any] | None = None) -> Asset:
    """Make the asset as :func:`media_asset` does; what Airflow's lineage collector calls for the scheme.

    :param media_conn_id: the Airflow connection of the library.
    :param name: the human-readable name.
    :param extra: metadata of the asset itself.
    """
    return media_asset(media_conn_id, name, extra=extra)


def _encode(text: str) -> str:
    return quote(text, safe="")


def _read(uri: SplitResult) -> tuple[str, str]:
    written = f"{uri.scheme}://{uri.netloc}{uri.path}{uri.query and '?' + uri.query}"
    if uri.scheme != SCHEME or uri.query or uri.fragment:
        raise ValueError(f"{written!r} is no media asset: write media://<connection>/<percent-encoded name>.")
    try:
        connection, name = (unquote(part, errors="strict") for part in (uri.netloc, uri.path.removeprefix("/")))
    except UnicodeDecodeError:
        raise ValueError(f"The media asset {written!r} is not percent-encoded UTF-8.") from None
    if not connection.strip() or not name.strip():
        raise ValueError(f"{written!r} is no media asset: write media://<connection>/<percent-encoded name>.")
    return connection, name
