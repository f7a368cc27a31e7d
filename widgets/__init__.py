"""What several pages draw with: the table, the filters, the figures."""
