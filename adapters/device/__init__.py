"""Programs on a device: the machines of `processors` with a column of numbers for every number of their states.

For engines that keep tokens on the device, where a host machine would have to wait for them. A state is the host's own
named tuple, holding tensors of one element per row; tables are made once of what the host's machines are made of. The
host form is the reference: a law compares the two for random programs and token streams.
"""
