"""Carry the calls of :mod:`airflow_provider_media._api` over HTTP."""
