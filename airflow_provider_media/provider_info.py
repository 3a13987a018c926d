"""What Airflow is told about this package: its hook, operators, sensors, and the form of its connection."""

from __future__ import annotations

from typing import Any

from airflow_provider_media import __version__

_INTEGRATION = "Media Library"

CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "timeout": {
        "label": "Time-out (seconds)",
        "description": "The longest silence of the server that is waited out. Default 60.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "connect_timeout": {
        "label": "Connect time-out (seconds)",
        "description": "The longest wait for a connection. Default 10.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "settle_seconds": {
        "label": "Settling time (seconds)",
        "description": "How long a stored file may take to show up in the list after a lost answer, before the"
        " file is sent again. Default 30.",
        "schema": {"type": ["number", "null"], "minimum": 0},
    },
    "max_attempts": {
        "label": "Attempts",
        "description": "How often one request is sent at most, the first time included. Default 10.",
        "schema": {"type": ["integer", "null"], "minimum": 1},
    },
    "retry_budget": {
        "label": "Retry budget (seconds)",
        "description": "How long trying may go on after the first failure, transfers left out, unless the attempts are"
        " used up before. Default 120.",
        "schema": {"type": ["number", "null"], "minimum": 0},
    },
    "verify": {
        "label": "Verify certificates",
        "description": "true, false, or the path of a CA bundle. Default true.",
        "schema": {"type": ["string", "null"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "A proxy's address. Without one, the environment's proxy variables count.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "requests_per_second": {
        "label": "Requests per second",
        "description": "The highest rate of one process; to hold all workers together to a rate, use a pool. Default:"
        " no limit.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "allow_delete": {
        "label": "Allow to delete",
        "description": "false refuses every delete through this connection. Default true.",
        "schema": {"type": ["boolean", "null"], "default": True},
    },
    "accept_converted": {
        "label": "Accept converted files",
        "description": "true accepts that the platform re-encodes files, and so stores another size than was sent; they"
        " are recognized by a fingerprint in their description. Default false.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login", "schema", "extra"],
    "relabeling": {"host": "Base address", "password": "API key"},
    "placeholders": {
        "host": "https://lora-api.agiletelecom.com/api (used when left empty)",
        "password": "the platform's API key",
        "port": "443 (the Test button of Airflow 3.3.2 wants one)",
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

ASSET_URIS: list[dict[str, Any]] = [
    {
        "schemes": ["media"],
        "handler": "airflow_provider_media.assets.media.sanitize_uri",
        "factory": "airflow_provider_media.assets.media.create_asset",
    }
]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as Airflow's ``provider_info.schema.json`` wants it."""
    return {
        "package-name": "airflow-provider-media",
        "name": _INTEGRATION,
        "description": "Upload, wait for, list and delete the images and videos of campaigns in a messaging platform's"
        " media library.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
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
        "asset-uris": ASSET_URIS,
        "dataset-uris": ASSET_URIS,  # the name of Airflow 2
    }


def connection_form_widgets() -> dict[str, Any]:
    """Return the extras as form fields of Airflow 2, all of them texts: an unticked box there would mean "false"."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import PasswordField, StringField

    def field(description: dict[str, Any]) -> Any:
        secret = description["schema"].get("format") == "password"
        kind, widget = (PasswordField, BS3PasswordFieldWidget) if secret else (StringField, BS3TextFieldWidget)
        return kind(lazy_gettext(description["label"]), description=description["description"], widget=widget())

    return {name: field(description) for name, description in CONNECTION_FIELDS.items()}
