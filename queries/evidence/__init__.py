"""Evidence packs: findings or a list of accounts, as a file that the archive can verify.

`pack` writes a pack, `findings` and `accounts` are the two kinds, `proof` verifies one.
"""
