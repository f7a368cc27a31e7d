"""`make simulate SEED=7 DAYS=1000`: live so many days and say what disagrees."""

import argparse
import time

from simulation.life import simulate

parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
parser.add_argument("--seed", type=int, default=int(time.time()))
parser.add_argument("--days", type=int, default=1_000, help="of each life (default: 1000)")
parser.add_argument("--database", default="", help="an empty PostgreSQL database, as a URL")
parser.add_argument("--lives", type=int, default=1, help="with the seeds that follow")


def main() -> None:
    """Print the days of each life. A disagreement ends it."""
    options = parser.parse_args()
    for seed in range(options.seed, options.seed + options.lives):
        start = time.monotonic()
        days = simulate(seed, options.days, database=options.database)
        minutes = (time.monotonic() - start) / 60
        print(f"seed {seed}: {days} days, {days / minutes:.0f} a minute", flush=True)


main()
