"""What Rollcall is set beside: a page that keeps the whole list in the session, as a DataFrame.

`streamlit run benchmarks/pandas_app.py`; ACCOUNTS names the CSV file.
"""

from __future__ import annotations

import os
from functools import reduce
from operator import or_

import pandas as pd
import streamlit as st

SEARCHED = ("User", "Username in app", "Upstream user ID")

if "accounts" not in st.session_state:
    st.session_state["accounts"] = pd.read_csv(os.environ["ACCOUNTS"])
shown: pd.DataFrame = st.session_state["accounts"]
if states := st.query_params.get_all("state"):
    shown = shown[shown["Provisioning state"].isin(states)]
for word in st.query_params.get("q", "").split():
    found = (shown[c].str.contains(word, case=False, regex=False, na=False) for c in SEARCHED)
    shown = shown[reduce(or_, found)]
shown = shown.sort_values("Last updated", ascending=False)
st.title("Users")
st.write(f"{len(shown):,} accounts")
st.dataframe(shown.head(50))
st.download_button("CSV", lambda: shown.to_csv(index=False).encode(), "users.csv")
