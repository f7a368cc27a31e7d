"""Evidence packs: findings, or a list of accounts, as a file that the archive proves or disproves.

`pack` says what every pack is, `findings` and `accounts` are the two kinds, `proof` reads one back.
"""
