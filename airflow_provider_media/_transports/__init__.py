"""Send the requests of :mod:`airflow_provider_media._api` over HTTP."""
