"""The probabilities with which accounts of the sample move through the eleven states."""

from typing import NamedTuple

import numpy as np

from data.states import STATES

(P_AWAITING, P_ONGOING, P_FAILED, ONBOARDED, U_AWAITING, U_ONGOING, U_FAILED) = range(7)
(D_AWAITING, D_ONGOING, D_FAILED, DELETED, REMOVED) = range(7, 12)
# positions in STATE_NAMES; REMOVED accounts are in no snapshot
FAILED_STATES = (P_FAILED, U_FAILED, D_FAILED)
IS_UNSETTLED = np.array([state.operation is not None for state in STATES] + [False])


class Transition(NamedTuple):
    """The step that an account can take by the next day."""

    chance: float
    target: int
    alternative_odds: float  # the chance that a step goes to the alternative
    alternative: int
    active_share: float  # share of the accounts in this state that are active in the app


TRANSITIONS = {
    P_AWAITING: Transition(0.42, P_ONGOING, 0, REMOVED, 0.02),
    P_ONGOING: Transition(0.45, ONBOARDED, 0.20, P_FAILED, 0.05),
    P_FAILED: Transition(0.05, P_AWAITING, 0, REMOVED, 0.03),
    ONBOARDED: Transition(0.0060, U_AWAITING, 0.47, D_AWAITING, 0.95),
    U_AWAITING: Transition(0.42, U_ONGOING, 0, REMOVED, 0.95),
    U_ONGOING: Transition(0.45, ONBOARDED, 0.20, U_FAILED, 0.95),
    U_FAILED: Transition(0.05, U_AWAITING, 0, REMOVED, 0.90),
    D_AWAITING: Transition(0.42, D_ONGOING, 0, REMOVED, 0.70),
    D_ONGOING: Transition(0.45, DELETED, 0.15, D_FAILED, 0.60),
    D_FAILED: Transition(0.05, D_AWAITING, 0, REMOVED, 0.55),
    DELETED: Transition(0, REMOVED, 0.04, P_AWAITING, 0.10),  # after a time, not by chance
    REMOVED: Transition(0.0005, P_AWAITING, 0, REMOVED, 0),
}
CHANCE, TARGET, ALTERNATIVE_ODDS, ALTERNATIVE, ACTIVE_SHARE = map(
    np.array, zip(*TRANSITIONS.values(), strict=True)
)
NEW_ACCOUNT_RATE = 0.0026  # new accounts per account and day; about as many are deleted
WARMUP_DAYS = 60  # simulated before the first snapshot, so that it shows an ordinary day
MIN_ACCOUNTS_FOR_ALL_STATES = 100  # in a smaller integration a state can be empty
SIZE_FACTORS = (1.0, 1.6, 1.2, 0.7, 0.9, 0.5)  # sizes of the integrations, times `accounts`
DAY = np.timedelta64(1, "D")


class FailureWave(NamedTuple):
    """Days on which most jobs of an integration fail, counted back from the newest snapshot."""

    first: int = -1
    last: int = 0
    update_chance: float = 1  # chance of an update job, per account and day
    new_account_factor: float = 1  # times the ordinary number
    retry_chance: float = 1  # chance of a retry, per failed job and day after the wave

    def is_active(self, days_ago: int) -> bool:
        """Whether most jobs fail on this day."""
        return self.last <= days_ago <= self.first

    def is_recovering(self, days_ago: int) -> bool:
        """Whether failed jobs are retried on this day."""
        return self.last - 6 <= days_ago < self.last

    def chance_and_odds(self, days_ago: int) -> tuple[np.ndarray, np.ndarray]:
        """The chances and odds of TRANSITIONS, as the wave changes them on one day."""
        chance, odds = CHANCE.copy(), ALTERNATIVE_ODDS.copy()
        if self.is_active(days_ago):
            chance[ONBOARDED] = self.update_chance
            odds[ONBOARDED] *= CHANCE[ONBOARDED] / self.update_chance
            odds[[P_ONGOING, U_ONGOING]] = 0.9 * min(1, (self.first - days_ago + 1) / 5)
            chance[[P_FAILED, U_FAILED]] = 0.02
        elif self.is_recovering(days_ago):
            chance[[P_FAILED, U_FAILED]] = self.retry_chance
            chance[[P_AWAITING, P_ONGOING, U_AWAITING, U_ONGOING]] = 0.95
            odds[[P_ONGOING, U_ONGOING]] = 0.03
        return chance, odds


NO_WAVE = FailureWave()
WAVES = {
    "salesforce-emea": FailureWave(
        first=34, last=22, update_chance=0.038, new_account_factor=5, retry_chance=0.6
    ),
    "zoom": FailureWave(
        first=12, last=5, update_chance=0.032, new_account_factor=3, retry_chance=0.07
    ),
}
