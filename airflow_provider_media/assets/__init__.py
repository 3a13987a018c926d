"""Files of the media library as Airflow's assets."""
