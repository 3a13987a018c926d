"""Provider metadata for Airflow: hook, operators, sensors, triggers and the connection form."""

from __future__ import annotations

from typing import Any

from airflow_provider_media import __version__

_INTEGRATION = "Media Library"

CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "timeout": {
        "label": "Timeout (seconds)",
        "description": "Read timeout: maximum time without data from the server. Default 60.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "connect_timeout": {
        "label": "Connect timeout (seconds)",
        "description": "Maximum time to establish a connection. Default 10.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "settle_seconds": {
        "label": "Settling time (seconds)",
        "description": "After a lost response, maximum time for the file to appear in the list before it is uploaded"
        " again. Default 30.",
        "schema": {"type": ["number", "null"], "minimum": 0},
    },
    "max_attempts": {
        "label": "Attempts",
        "description": "Maximum attempts for each request, including the first. Default 10.",
        "schema": {"type": ["integer", "null"], "minimum": 1},
    },
    "retry_budget": {
        "label": "Retry budget (seconds)",
        "description": "Maximum time for retries after the first failure, not counting transfers. Default 120.",
        "schema": {"type": ["number", "null"], "minimum": 0},
    },
    "verify": {
        "label": "Verify certificates",
        "description": "true, false, or the path to a CA bundle. Default true.",
        "schema": {"type": ["string", "null"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "Proxy URL. If empty, the proxy environment variables apply.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "requests_per_second": {
        "label": "Requests per second",
        "description": "Maximum request rate of each process; to limit all workers together, use a pool. Default: no"
        " limit.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "allow_delete": {
        "label": "Allow deletion",
        "description": "Off (false): nothing can be deleted through this connection. Default on.",
        "schema": {"type": ["boolean", "null"], "default": True},
    },
    "accept_converted": {
        "label": "Accept converted files",
        "description": "true if the platform re-encodes files, so that their size changes; uploads are then recognized"
        " by a fingerprint in the description. Default false.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login", "schema", "extra"],
    "relabeling": {"host": "Base address", "password": "API key"},
    "placeholders": {
        "host": "https://lora-api.agiletelecom.com/api (default)",
        "password": "the platform's API key",
        "port": "443 (Airflow 3.3.1 and 3.3.2 need it to test the connection)",
        "timeout": "60",
        "connect_timeout": "10",
        "settle_seconds": "30",
        "max_attempts": "10",
        "retry_budget": "120",
        "verify": "true, false or /path/to/ca-bundle.pem",
        "proxy": "http://proxy.example:3128",
        "requests_per_second": "no limit",
        "allow_delete": "true",
        "accept_converted": "false",
    },
}

CONFIG: dict[str, Any] = {
    "media": {
        "description": "The Media Library page.",
        "options": {
            "page_readers": {
                "description": "Who may see the page: `connections` (users who may read Airflow's connections) or"
                " `signed_in` (all users). The page is read-only and never shows the API key.",
                "version_added": None,
                "type": "string",
                "example": "signed_in",
                "default": "connections",
            },
        },
    },
}

ASSET_URIS: list[dict[str, Any]] = [
    {
        "schemes": ["media"],
        "handler": "airflow_provider_media.assets.media.sanitize_uri",
        "factory": "airflow_provider_media.assets.media.media_asset",
        "to_openlineage_converter": "airflow_provider_media.assets.media.convert_asset_to_openlineage",
    }
]


def get_provider_info() -> dict[str, Any]:
    """Return the provider metadata, according to Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-media",
        "name": _INTEGRATION,
        "description": "Upload, wait for, list and delete the images and videos of campaigns in a messaging platform's"
        " media library.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://agiletelecom.com/documentation/qlara/api/qlara-platform-api",
                "how-to-guide": ["docs/guides/campaign.md", "docs/guides/upload.md", "docs/guides/waiting.md"],
                "logo": "/media-library/assets/icon.svg",
                "tags": ["service"],
            }
        ],
        "operators": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_media.operators.media"]}],
        "sensors": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_media.sensors.media"]}],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_provider_media.triggers.media", "airflow_provider_media.triggers.events"],
            }
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_media.hooks.media"]}],
        "extra-links": ["airflow_provider_media.links.media.MediaLink"],
        "connection-types": [
            {
                "connection-type": "media",
                "hook-class-name": "airflow_provider_media.hooks.media.MediaHook",
                "hook-name": _INTEGRATION,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
        "config": CONFIG,
        "asset-uris": ASSET_URIS,
        "dataset-uris": ASSET_URIS,  # the name of Airflow 2
    }


def connection_form_widgets() -> dict[str, Any]:
    """Return the extras as form fields of Airflow 2; all are text fields, because an empty checkbox means "false"."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import PasswordField, StringField

    def field(description: dict[str, Any]) -> Any:
        secret = description["schema"].get("format") == "password"
        kind, widget = (PasswordField, BS3PasswordFieldWidget) if secret else (StringField, BS3TextFieldWidget)
        return kind(lazy_gettext(description["label"]), description=description["description"], widget=widget())

    return {name: field(description) for name, description in CONNECTION_FIELDS.items()}
