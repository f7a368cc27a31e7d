"""How snapshot files arrive: dropped into the inbox, pulled from servers, put into quarantine."""
