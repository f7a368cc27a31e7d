"""What we ask of the store: plain values in, rows or frames out; no Streamlit."""
