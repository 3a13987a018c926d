"""A faithful local Media API server, for trying the provider out and for tests: no account, no network, no Airflow.

As a process: ``python -m airflow_provider_media.sandbox``. In a test:
:func:`airflow_provider_media.sandbox.server.run_in_thread`.
"""
