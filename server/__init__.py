"""All that runs before Streamlit: sign-in, permissions, downloads, metrics."""
