"""Shared by the operators and the sensor: what depends on how Airflow works."""
