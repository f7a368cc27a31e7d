"""A simulator of Rollcall's life: random days, with a plain model that knows what must be true."""
