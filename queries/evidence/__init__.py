"""Evidence packs: findings, a list of accounts or a review round, which the archive can verify.

`pack` writes a pack, `findings`, `accounts` and `rounds` are its kinds, `proof` verifies one.
"""
