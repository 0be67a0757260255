"""One file per HTTP dialect, one shared client: submit, fetch, upload, balance, with every error mapped."""
