"""The listener of a watched system call filter: who asks, what it is answered, and what can be seen of whoever waits.

Answers are error numbers only: no call is ever let go on from here, because the memory behind its pointers can change until the
kernel reads it again. What is read of a process that waits comes from inside the box, may be anything, and is bounded bytes.
"""
