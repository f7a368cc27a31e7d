"""How an account of the sample moves through the eleven states: one step a day at most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data.states import STATES

(P_AWAITING, P_ONGOING, P_FAILED, ONBOARDED, U_AWAITING, U_ONGOING, U_FAILED) = range(7)
(D_AWAITING, D_ONGOING, D_FAILED, DELETED, GONE) = range(7, 12)  # places in STATE_NAMES, and gone
FAILED = (P_FAILED, U_FAILED, D_FAILED)
IS_BUSY = np.array([state.operation is not None for state in STATES] + [False])


class Step(NamedTuple):
    """What may become of an account by the next day."""

    chance: float
    to: int
    odds: float  # that it goes `otherwise` instead
    otherwise: int
    active: float  # the share of the accounts in this state that are active in the app


STEPS = {
    P_AWAITING: Step(0.42, P_ONGOING, 0, GONE, 0.02),
    P_ONGOING: Step(0.45, ONBOARDED, 0.20, P_FAILED, 0.05),
    P_FAILED: Step(0.05, P_AWAITING, 0, GONE, 0.03),
    ONBOARDED: Step(0.0060, U_AWAITING, 0.47, D_AWAITING, 0.95),
    U_AWAITING: Step(0.42, U_ONGOING, 0, GONE, 0.95),
    U_ONGOING: Step(0.45, ONBOARDED, 0.20, U_FAILED, 0.95),
    U_FAILED: Step(0.05, U_AWAITING, 0, GONE, 0.90),
    D_AWAITING: Step(0.42, D_ONGOING, 0, GONE, 0.70),
    D_ONGOING: Step(0.45, DELETED, 0.15, D_FAILED, 0.60),
    D_FAILED: Step(0.05, D_AWAITING, 0, GONE, 0.55),
    DELETED: Step(0, GONE, 0.04, P_AWAITING, 0.10),  # when its time is over, not by chance
    GONE: Step(0.0005, P_AWAITING, 0, GONE, 0),
}
CHANCE, TO, ODDS, OTHERWISE, ACTIVE = map(np.array, zip(*STEPS.values(), strict=True))
JOINS = 0.0026  # new accounts per account and day; about as many are deleted
SETTLING_DAYS = 60  # lived before the first snapshot, so that it shows an ordinary day
EVERY_STATE_FROM = 100  # accounts; in a smaller integration a state may be empty
SIZES = (1.0, 1.6, 1.2, 0.7, 0.9, 0.5)  # of the integrations, times `accounts`
DAY = np.timedelta64(1, "D")


class Wave(NamedTuple):
    """Days on which most jobs of an integration fail, counted back from the newest snapshot."""

    first: int = -1
    last: int = 0
    updates: float = 1  # the chance of an account to get an update job, per day
    joins: float = 1  # times the ordinary number
    repair: float = 1  # the chance of a failed job to be tried again, per day after the wave

    def is_on(self, ago: int) -> bool:
        """Whether jobs fail on this day."""
        return self.last <= ago <= self.first

    def is_healing(self, ago: int) -> bool:
        """Whether what has failed is being repaired on this day."""
        return self.last - 6 <= ago < self.last

    def chance_and_odds(self, ago: int) -> tuple[np.ndarray, np.ndarray]:
        """Those of `STEPS`, as the wave changes them on one day."""
        chance, odds = CHANCE.copy(), ODDS.copy()
        if self.is_on(ago):
            chance[ONBOARDED] = self.updates
            odds[ONBOARDED] *= CHANCE[ONBOARDED] / self.updates
            odds[[P_ONGOING, U_ONGOING]] = 0.9 * min(1, (self.first - ago + 1) / 5)
            chance[[P_FAILED, U_FAILED]] = 0.02
        elif self.is_healing(ago):
            chance[[P_FAILED, U_FAILED]] = self.repair
            chance[[P_AWAITING, P_ONGOING, U_AWAITING, U_ONGOING]] = 0.95
            odds[[P_ONGOING, U_ONGOING]] = 0.03
        return chance, odds


CALM = Wave()
WAVES = {
    "salesforce-emea": Wave(first=34, last=22, updates=0.038, joins=5, repair=0.6),
    "zoom": Wave(first=12, last=5, updates=0.032, joins=3, repair=0.07),
}
