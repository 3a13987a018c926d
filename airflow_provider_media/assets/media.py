"""Files of the media library as assets: ``media://<connection>/<name>``, percent-encoded and case-sensitive.

An asset represents a name in the library, so that DAGs can be scheduled on it; its events contain the file.
Airflow 2.11 calls assets datasets.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset

    from airflow_provider_media.models import Media

SCHEME = "media"
_encode = partial(quote, safe="")

_MAX_URI_LENGTH = 1500
"""Maximum length of an asset's name or URI in Airflow 3, in characters."""


def media_asset(media_conn_id: str, name: str, *, extra: dict[str, Any] | None = None) -> Asset:
    """Create the asset of a name in a media library; use it in producers and consumers, so that the URIs are equal.

    Airflow does not render templates in assets: if each run uploads a different name (``banner-{{ run_id }}``), use
    their common name for the asset (``banner``).

    :param media_conn_id: the Airflow connection of the library.
    :param name: the name in the library.
    :param extra: metadata of the asset, JSON-serializable.
    :raises ValueError: the connection or the name is empty, or too long for an asset.
    """
    from airflow.providers.common.compat.sdk import Asset

    return Asset(uri=media_uri(media_conn_id, name), extra=extra)


def media_uri(media_conn_id: str, name: str) -> str:
    """Return the URI of a name in a media library.

    :param media_conn_id: the Airflow connection of the library.
    :param name: the name in the library.
    :raises ValueError: the connection or the name is empty, or too long for an asset.
    """
    for what, text in (("connection", media_conn_id), ("name", name)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"A media asset requires a {what}, not {text!r}.")
    try:
        uri = f"{SCHEME}://{_encode(media_conn_id)}/{_encode(name)}"
    except UnicodeEncodeError:
        raise ValueError(f"The name {name!r} of a media asset cannot be encoded in UTF-8.") from None
    if len(uri) > _MAX_URI_LENGTH:
        raise ValueError(
            f"The URI of the media asset {name[:40]!r}... is too long: {len(uri)} characters; at most"
            f" {_MAX_URI_LENGTH}."
        )
    return uri


def read_media_uri(uri: str) -> tuple[str, str]:
    """Return the connection and the name in a media asset's URI: the inverse of :func:`media_uri`.

    :param uri: such as ``asset.uri``.
    :raises ValueError: it is not the URI of a media asset.
    """
    return _read(urlsplit(uri))


def media_extra(media: Media) -> dict[str, Any]:
    """Return the extra of an asset event: ``id``, ``name``, ``url``, ``type`` (MIME) and ``size`` (bytes).

    :param media: the file.
    """
    return {"id": media.id, "name": media.name, "url": media.url, "type": media.mime_type, "size": media.size}


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Validate and normalize the URI of a media asset; Airflow calls it for each asset.

    Unencoded characters, slashes included, are percent-encoded, so that each name has one URI. The case is unchanged.

    :param uri: the parsed URI; Airflow has removed the fragment, the user and trailing slashes.
    :raises ValueError: the URI has no connection, no name, or a query.
    """
    return urlsplit(media_uri(*_read(uri)))


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Any:  # noqa: ARG001 - Airflow passes both
    """Convert a media asset to a dataset of OpenLineage; Airflow's provider for OpenLineage calls it for the scheme.

    :param asset: a media asset.
    :param lineage_context: the hook or operator; not used, so that all tasks report the same dataset.
    :return: a ``Dataset`` with the namespace ``media://<connection>`` and the name in the library.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    connection, name = read_media_uri(asset.uri)
    return Dataset(namespace=f"{SCHEME}://{_encode(connection)}", name=name)


def _read(uri: SplitResult) -> tuple[str, str]:
    written = f"{uri.scheme}://{uri.netloc}{uri.path}{uri.query and '?' + uri.query}"
    try:
        connection, name = (unquote(part, errors="strict") for part in (uri.netloc, uri.path.removeprefix("/")))
    except UnicodeDecodeError:
        raise ValueError(f"The media asset {written!r} is not percent-encoded UTF-8.") from None
    if uri.scheme != SCHEME or uri.query or uri.fragment or not connection.strip() or not name.strip():
        raise ValueError(f"{written!r} is not a media asset. Use media://<connection>/<percent-encoded name>.")
    return connection, name
