"""The begin of a program that dies at a call: `STORE CALLS ...`; what it wraps in `dying` counts."""

DYING = """
import os, sys
import smartdata_ts as sd
from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import Catalog
left = int(sys.argv[2])
def dying(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        return function(*arguments, **options)
    return call
"""
