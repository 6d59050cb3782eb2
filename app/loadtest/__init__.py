"""A load test of the app: `python -m loadtest URL`."""
