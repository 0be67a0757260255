"""The durable record of jobs, slots, attempts, images and caps. The single source of truth about money."""
