"""One poll over everything that a run waits for."""

from __future__ import annotations

import os
import select

from sandboxer.run.turns import Turns


def test_nothing_to_wait_for_is_the_end() -> None:
    Turns().run()


def test_everybody_who_is_ready_gets_a_turn() -> None:
    turns, served = Turns(), []
    pipes = {name: os.pipe() for name in ("chatty", "quiet")}

    def serve(name: str) -> None:
        served.append(name)
        if name == "quiet" or served.count(name) > 3:
            turns.drop(pipes[name][0])

    for name, (reader, writer) in pipes.items():
        os.write(writer, b"xxxxxxxx")  # never read: always ready
        turns.add(reader, select.POLLIN, lambda events, name=name: serve(name))
    turns.run()
    assert served.index("quiet") < 2
    assert served.count("chatty") == 4
    for pair in pipes.values():
        for descriptor in pair:
            os.close(descriptor)


def test_one_who_was_dropped_in_the_same_round_is_not_served() -> None:
    turns, served = Turns(), []
    pipes = [os.pipe(), os.pipe()]

    def serve(events: int) -> None:
        served.append(events)
        for reader, _ in pipes:
            turns.drop(reader)

    for reader, writer in pipes:
        os.write(writer, b"x")
        turns.add(reader, select.POLLIN, serve)
    turns.run()
    assert served == [select.POLLIN]
    for pair in pipes:
        for descriptor in pair:
            os.close(descriptor)


def test_drop_of_somebody_unknown_is_nothing() -> None:
    Turns().drop(12345)


def test_several_wait_for_one_descriptor_and_each_has_its_turn() -> None:
    turns, served = Turns(), []
    reader, writer = os.pipe()
    for name in ("first", "second"):
        turns.join(reader, select.POLLIN, lambda _, name=name: (served.append(name), turns.drop(reader)))
    os.write(writer, b"x")
    turns.run()
    assert served == ["first", "second"]
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_step_that_does_not_wait_serves_whoever_is_ready() -> None:
    turns, served = Turns(), []
    reader, writer = os.pipe()
    turns.add(reader, select.POLLIN, served.append)
    assert turns.step(is_waiting=False)
    assert served == []
    os.write(writer, b"x")
    assert select.select([turns.descriptor], [], [], 0)[0]
    assert turns.step(is_waiting=False)
    assert served == [select.POLLIN]
    turns.drop(reader)
    assert not turns.step()
    turns.close()
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_one_who_comes_later_takes_the_place_of_who_waited() -> None:
    turns, served = Turns(), []
    reader, writer = os.pipe()
    turns.add(writer, select.POLLOUT, lambda _: served.append("first"))
    turns.add(writer, select.POLLIN, lambda _: served.append("second"))
    os.close(reader)  # POLLERR comes whatever one waits for
    assert turns.step()
    assert served == ["second"]
    turns.drop(writer)
    os.close(writer)
