"""The triggers of the media library; those that start DAGs (Airflow 3) are in ``events``, imported by nothing here."""
