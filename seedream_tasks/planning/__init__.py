"""Every row and shot becomes a frozen record before anything is bought; a forecast is the same pass without writing."""
