"""Airflow-specific code shared by the operators and the sensor."""
