"""Links on Airflow's task pages."""
