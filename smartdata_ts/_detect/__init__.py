"""What is wrong with a meter: rules, one file each, and the findings that they make."""
