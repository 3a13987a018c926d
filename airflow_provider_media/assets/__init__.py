"""Files of the media library as Airflow assets."""
