"""A folder for each gateway, one shared client: submit, fetch, upload, balance, with every error mapped."""
