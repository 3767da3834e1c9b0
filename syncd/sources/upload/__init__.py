"""Files sent to the API."""
