"""Knowledge of meters: units, quality codes, and facts that users give."""
