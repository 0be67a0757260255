"""Property tests here say what is true, not how fast: no deadline, and nothing is kept between test sessions."""

from hypothesis import settings

settings.register_profile("rules", deadline=None, database=None)
settings.load_profile("rules")
