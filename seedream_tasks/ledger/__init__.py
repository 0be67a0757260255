"""The durable record of jobs, slots, attempts, images and caps. The only truth about money."""
