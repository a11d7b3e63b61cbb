"""Programs as a service: what a program and a job are, where they are kept, and what runs them."""

__all__: list[str] = []
