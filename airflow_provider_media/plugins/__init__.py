"""What is added to Airflow's user interface."""
