"""What is known of meters: units, quality codes, and facts that users give."""
