"""How long a property is searched for a counterexample: briefly, and fully in the slow suite."""

from hypothesis import settings


def examples(count, **options):
    """Settings for `count` examples in the thorough profile, and a quarter of them in the quick."""
    scaled = max(5, count * settings().max_examples // 100)
    return settings(max_examples=scaled, deadline=None, **options)
