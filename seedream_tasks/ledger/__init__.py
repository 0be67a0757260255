"""The durable record of jobs, slots, attempts, pictures and caps. The only truth about money."""
