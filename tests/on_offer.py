"""What the gateways of this package offer, as tests name it."""

from seedream_tasks.core.market import market
from seedream_tasks.gateways.registry import dialect

SEEDREAM_45 = "seedream-4.5"
SEEDREAM_40 = "seedream-4.0"
GATEWAYS = market().gateways
MODELS = market().models
CAPABILITIES = market().capabilities
BY_OFFER = market().by_offer
PRICES = market().prices
ERROR_CODES = market().error_codes
DIALECTS = {name: dialect(name) for name in GATEWAYS}
