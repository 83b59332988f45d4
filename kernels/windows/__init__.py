"""Windows that move over rows."""
