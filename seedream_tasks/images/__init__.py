"""Images: decoded, checked, stored; their thumbnails and the files that shops get."""
