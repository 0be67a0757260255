"""getimg.ai: Seedream 4.5, synchronous."""
