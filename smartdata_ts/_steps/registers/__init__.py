"""The steps that registers take together, where one kernel does both."""
