"""Airflow plugins: the Media Library page."""
