"""Pure loops over arrays, compiled by Numba: arrays and scalars in, caller's arrays filled, a count out."""
