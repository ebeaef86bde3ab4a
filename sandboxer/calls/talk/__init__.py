"""What a caller and a box say to each other while a call runs.

conversation  which frame may come now, and what it is answered
items         items of a generator, on their way to whoever takes them
host          functions of the caller's that the box may ask for
allowance     whether the box can pass memory by descriptors
reading       what came as a value
"""
