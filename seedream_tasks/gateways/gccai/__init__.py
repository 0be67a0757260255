"""gccai: Seedream 4.5, asynchronous, by APIMart's documents."""
