"""A local Media API server for trials and tests: it needs no account, no network and no Airflow.

Run ``python -m airflow_provider_media.sandbox``, or :func:`airflow_provider_media.sandbox.server.run_in_thread` in a
test.
"""
