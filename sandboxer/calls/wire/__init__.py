"""Values that come out of a box: bytes that a hostile process wrote, and what is made of them.

A value is JSON text and *segments*, runs of bytes beside it: what is long is neither escaped nor parsed. What JSON lacks is an
object with the one key `$`, whose value is a list: the tag of a kind, and the parts that the kind takes.
Nothing of it names code. Classes of the caller's are made only where the annotation of the function names them.

    caps     how much may come, all of it checked ahead of what it would cost
    kinds    the table of kinds: what each looks like on the wire
    encode   a value into text and segments; what a box needs of all this, and imports the standard library only
    measure  how many items a text has and how deep it goes, without parsing it
    decode   text and segments into a value
    declared which classes an annotation names, and whether a value is what it says
    frame    how text and segments go over a stream
    block    what goes the other way
"""
