"""The basket between the thread of a box and whoever takes the items: room, credit, and who is woken."""

from __future__ import annotations

import os
import pickle
import select
import threading

from sandboxer.calls.talk.conversation import Window
from sandboxer.calls.talk.items import Items
from sandboxer.calls.wire.block import HEAD, NEXT
from sandboxer.calls.wire.frame import ITEM, Frame


def item(size: int = 1) -> Frame:
    return Frame(ITEM, b"x" * size, [])


def has_credit(items: Items) -> bool:
    return bool(select.select([items.credit_fd], [], [], 0)[0])


def test_room_is_counted_in_items() -> None:
    items = Items(Window(2, 100))
    assert items.has_room()
    items.put(item())
    items.put(item())
    assert not items.has_room()
    assert items.take() is not None
    assert items.has_room()
    items.close()


def test_room_is_counted_in_bytes_and_one_item_may_go_beyond() -> None:
    items = Items(Window(10, 100))
    items.put(item(99))
    assert items.has_room()
    items.put(item(1000))
    assert not items.has_room()
    items.take()
    assert not items.has_room()
    items.take()
    assert items.has_room()
    items.close()


def test_credit_says_what_was_taken_once() -> None:
    items = Items(Window())
    for size in (3, 4, 5):
        items.put(item(size))
    assert not has_credit(items)
    items.take()
    items.take()
    assert has_credit(items)
    block = items.take_credit()
    assert HEAD.unpack_from(block)[0] == NEXT
    assert pickle.loads(block[HEAD.size :]) == (2, 7)
    assert not has_credit(items)
    items.close()


def test_items_can_be_taken_although_nobody_hears_of_it() -> None:
    items = Items(Window())
    items.put(item())
    before = len(os.listdir("/proc/self/fd"))
    items.close()
    items.end()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert items.take() is not None
    assert items.take() is None


def test_whoever_waits_is_woken_by_an_item_and_by_the_end() -> None:
    items = Items(Window())
    ready = items.when_ready()
    assert not ready.done()
    threading.Thread(target=items.put, args=(item(),)).start()
    ready.result(30)
    assert items.when_ready().done()
    items.take()
    last = items.when_ready()
    assert not last.done()
    items.end()
    assert last.done()
    assert items.when_ready().done()
    items.close()


def test_whoever_does_not_wait_any_more_is_passed_over() -> None:
    items = Items(Window())
    items.when_ready().cancel()
    items.put(item())
    assert items.when_ready().done()
    items.close()
