"""Airflow provider that puts the images and videos of campaigns into a messaging platform's media library."""

__version__ = "0.1.0"
