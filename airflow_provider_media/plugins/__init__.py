"""Airflow plugins: the Media library page."""
