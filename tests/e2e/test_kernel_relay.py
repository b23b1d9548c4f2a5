"""A whole call relayed by the kernel, over wires: it hears no difference, is held and comes back, and its record tells the truth.

Where namespaces or the program in the kernel are not permitted this says so, and tests that calls go on without."""
import sys
import threading

import pytest
from rooms import HALL, House, RoomTalker
from tone import hears


@pytest.fixture
def house():
    try:
        made = House()
    except PermissionError as problem:
        print(f"NO NETWORK NAMESPACES HERE ({problem}): only the fall back is tested", file=sys.stderr)
        yield None
        return
    yield made
    made.close()


def in_kernel(pbx):
    streams = pbx.ctl("media", "streams")
    return len(streams) == 2 and all(stream["in_kernel"] for stream in streams)


def test_a_call_in_the_kernel_is_held_resumed_and_recorded_truly(house, make_pbx, talk):
    if house is None:
        pbx = make_pbx()
        alice, bob = talk(pbx, "1001", "1002")
        assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
        assert not any(stream["by_kernel"] for stream in pbx.ctl("media", "streams"))
        return
    pbx = make_pbx(f"media:\n  bind: 0.0.0.0\n  external_ip: {HALL}\n")
    pbx.wait_for(lambda: "kernel_relay_" in pbx.log(), "the word whether the kernel relays")  # calls from then on may go by it
    alice, bob = (RoomTalker(pbx, number, pbx.account(number), hertz, room)
                  for number, hertz, room in zip(("1001", "1002"), (440, 660), house.rooms))
    assert alice.register().status == bob.register().status == 200
    try:
        call(pbx, alice, bob)
    finally:
        alice.close()
        bob.close()


def call(pbx, alice, bob):
    answering = threading.Thread(target=bob.answer)
    answering.start()
    alice.dial("1002")
    answering.join()
    bob.hears_next(alice.hertz)
    if "kernel_relay_started" not in pbx.log():
        print("THE KERNEL RELAY IS NOT PERMITTED HERE: only the fall back is tested", file=sys.stderr)
        alice.hangup()
        bob.closed()
        return
    pbx.wait_for(lambda: in_kernel(pbx), "the kernel to relay both ways")
    bob.hears_next(alice.hertz)
    alice.hears_next(bob.hertz)

    alice.reinvite("sendonly")  # hold: bob hears music, from a worker
    pbx.wait_for(lambda: bob.heard and hears([sample for _, samples in bob.heard[-20:] for sample in samples], 520), "music")
    assert not in_kernel(pbx)
    alice.reinvite("sendrecv")
    pbx.wait_for(lambda: in_kernel(pbx), "the kernel to relay again")
    bob.hears_next(alice.hertz)
    alice.hears_next(bob.hertz)

    by_kernel = [stream["by_kernel"] for stream in pbx.ctl("media", "streams")]
    assert all(count >= 50 for count in by_kernel)
    alice.hangup()
    bob.closed()
    pbx.wait_event("call.ended")
    legs = [event["data"] for event in pbx.events("leg.ended")]
    assert [leg["lost"] for leg in legs] == [0, 0]
    assert all(leg["packets_in"] >= max(by_kernel) for leg in legs)
