"""The kernel's audit log: who may read it, whether it is written at all, and what it says of Landlock and of labels.

Only its multicast group is read, and nothing of it is changed. Records are of the whole machine, and hold names that whoever is
named has chosen: they are bounded bytes.
"""
