"""The comparison program: smartdata_ts and its peers on the same readings, in the same run."""
