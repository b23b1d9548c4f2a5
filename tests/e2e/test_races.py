"""What crosses on the way: both sides do something at once, or one message is lost, doubled or late. Whatever happens, nothing is left afterwards."""
import itertools
import threading
import time

import pytest

from machine import PATIENCE_S, answer
from talker import Talker, direction_of
from test_transfer import both_hear


class Line:
    """A talker that does by itself what phones do: rings, takes re-INVITEs, answers BYE, CANCEL, NOTIFY and OPTIONS, acknowledges."""

    def __init__(self, talker, answers=False):
        self.talker, self.answers = talker, answers
        self.invite, self.up, self.told, self.seen = None, False, [], []

    def step(self, seconds=0.01):
        message = self.talker.receive(seconds=seconds)
        if message is None:
            return
        self.seen.append(message.method or message.status)
        getattr(self, f"on_{(message.method or 'response').lower()}", self.ok)(message)

    def ok(self, message):
        self.talker.reply(message, 200, "OK")

    def on_invite(self, message):
        if ";tag=" in message.get("To"):  # within the call
            self.talker.reply(message, 200, "OK", body=self.talker.session(direction_of(message)))
            return
        self.invite = message
        self.talker.call_id = message.get("Call-ID")
        self.talker.reply(message, 180, "Ringing")
        if self.answers:
            self.answer()

    def answer(self):
        self.talker._take_part(self.invite, self.invite.get("From"))
        self.talker.reply(self.invite, 200, "OK", body=self.talker.session())
        self.up = True

    def on_cancel(self, message):
        self.ok(message)
        if self.invite and not self.up:
            self.talker.reply(self.invite, 487, "Request Terminated")

    def on_ack(self, message):
        pass

    def on_notify(self, message):
        self.ok(message)
        self.told.append(int(message.body.split()[1]))

    def on_response(self, message):
        pass

    def send(self, method, headers=(), **more):
        """Within the call, without waiting for what comes back. With credentials, a challenge would be one message more: a dialog needs none."""
        self.talker.cseq += 1
        self.talker.send(self.talker.text(method, self.talker.target, headers, to=self.talker.remote, to_tag=self.talker.remote_tag, **more))


def until(lines, wanted, what, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not answer(wanted)[0]:
        for line in lines:
            line.step()
        assert time.monotonic() < deadline, f"in vain waited for {what}: {[(line.talker.number, line.seen) for line in lines]}"


@pytest.fixture
def house(pbx, phones):
    """house("1001", "1002") gives lines with dialogs of their own; all end with the test."""
    made = []

    def make(*numbers):
        lines = []
        for number in numbers:
            if (pbx, number) not in phones.secrets:
                phones.secrets[pbx, number] = pbx.account(number)
            talker = Talker(pbx, number, phones.secrets[pbx, number], 440 + 220 * len(made))
            made.append(talker)
            assert talker.register().status == 200
            lines.append(Line(talker))
        return lines

    make.pbx = pbx
    yield make
    for talker in made:
        talker.close()


def connect(caller, callee):
    """The caller's line talks with the callee's."""
    thread = threading.Thread(target=caller.talker.dial, args=(callee.talker.number,))
    callee.answers = True
    thread.start()
    until([callee], lambda: "ACK" in callee.seen, "the ACK")
    thread.join()
    caller.up = True


def all_over(pbx, lines, seconds=PATIENCE_S):
    def idle():
        for line in lines:
            line.step()
        return not pbx.ctl("calls", "list")
    pbx.wait_for(idle, f"all calls to end; {[(line.talker.number, line.seen, line.told) for line in lines]}", seconds)
    for line in lines:
        line.step(0)
    pbx.assert_nothing_left()


# ---- offers -------------------------------------------------------------------------------------


def test_offers_that_cross_are_made_again(house):
    """Both re-INVITE at once: 491 to each, and who made the call waits longer (RFC 3261 14.1); an UPDATE with an offer gets it, too."""
    pbx = house.pbx
    alice, bob = house("1001", "1002")
    connect(alice, bob)
    call, = pbx.ctl("calls", "list")
    leg = next(leg for leg in pbx.ctl("calls", "show", call["call_id"])["legs"] if leg["number"] == "1001")["leg_id"]
    assert pbx.http("POST", f"/calls/{call['call_id']}:hold", {"leg_id": leg})[0] == 200
    theirs = alice.talker.expect("INVITE")
    refused = alice.talker.inside("INVITE", body=alice.talker.session("sendonly"))
    alice.talker.acknowledge(refused, alice.talker.target)
    assert refused.status == 491
    assert alice.talker.inside("UPDATE", body=alice.talker.session("sendonly")).status == 491
    alice.talker.reply(theirs, 491, "Request Pending")
    alice.talker.expect("ACK")
    again = alice.talker.expect("INVITE")
    assert direction_of(again) == "inactive" and again.get("CSeq") != theirs.get("CSeq")
    alice.talker.reply(again, 200, "OK", body=alice.talker.session("inactive"))
    alice.talker.expect("ACK")
    assert alice.talker.reinvite("sendrecv").status == 200
    alice.send("BYE")
    all_over(pbx, [alice, bob])


def test_a_second_offer_before_the_answer_to_the_first(house):
    """The 200 to a re-INVITE waits for its ACK: an offer meanwhile is told to come later (RFC 3261 14.2)."""
    alice, bob = house("1001", "1002")
    connect(alice, bob)
    first = alice.talker.inside("INVITE", body=alice.talker.session("sendonly"))
    assert first.status == 200
    second = alice.talker.inside("UPDATE", body=alice.talker.session())
    assert second.status == 500 and second.get("Retry-After")
    alice.talker.acknowledge(first, alice.talker.target)
    assert alice.talker.reinvite().status == 200
    alice.send("BYE")
    all_over(house.pbx, [alice, bob])


# ---- lost, doubled, late ------------------------------------------------------------------------


def test_a_lost_ack_is_asked_for_again(house):
    alice, bob = house("1001", "1002")
    bob.answers = True
    alice.talker.ring("1002", alice.talker.session())
    until([bob], lambda: "ACK" in bob.seen, "the callee's ACK")
    is_answer = lambda message: message.status == 200 and message.get("CSeq").endswith("INVITE")  # noqa: E731
    assert alice.talker.receive(is_answer) is not None
    answer = alice.talker.receive(is_answer)
    assert answer is not None, "the 200 comes again"
    alice.talker._take_part(answer, answer.get("To"))
    alice.talker.acknowledge(answer, alice.talker.target)
    both_hear(alice.talker, bob.talker)
    alice.send("BYE")
    all_over(house.pbx, [alice, bob])


def test_what_comes_twice_counts_once_and_what_comes_late_not_at_all(house):
    alice, bob = house("1001", "1002")
    connect(alice, bob)
    talker = alice.talker
    assert talker.inside("INFO", body="Signal=5\r\n", kind="application/dtmf-relay").status == 200
    late = talker.cseq - 1
    talker.send(talker.text("INFO", talker.target, to=talker.remote, to_tag=talker.remote_tag, body="Signal=6\r\n", kind="application/dtmf-relay", cseq=late))
    talker.cseq += 1
    bye = talker.text("BYE", talker.target, to=talker.remote, to_tag=talker.remote_tag)
    talker.send(bye)
    talker.send(bye)
    for _ in range(2):
        assert talker.receive(lambda message: message.get("CSeq").endswith("BYE")).status == 200
    told = [message.status for message in talker.kept if message.get("CSeq") == f"{late} INFO"]
    assert told in ([], [500]), "RFC 3261 12.2.2; an answer would have come before those to the BYEs"
    all_over(house.pbx, [alice, bob])
    assert len(house.pbx.events("call.ended")) == 1


def test_two_phones_answer_at_once_and_one_has_the_call(house):
    alice, one, other = house("1001", "1002", "1002")
    thread = threading.Thread(target=alice.talker.dial, args=("1002",))
    thread.start()
    until([one, other], lambda: one.invite and other.invite, "both to ring")
    one.answer()
    other.answer()
    until([one, other], lambda: "ACK" in one.seen and "ACK" in other.seen and ("BYE" in one.seen or "BYE" in other.seen), "one BYE")
    thread.join()
    winner, loser = (other, one) if "BYE" in one.seen else (one, other)
    assert "BYE" not in winner.seen
    both_hear(alice.talker, winner.talker)
    assert alice.talker.hears_nothing_of(loser.talker.hertz)
    alice.send("BYE")
    all_over(house.pbx, [alice, one, other])


# ---- transfers ----------------------------------------------------------------------------------


def refer(line, number, replaces=""):
    line.send("REFER", [f"Refer-To: <sip:{number}@pbx.test{'?Replaces=' + replaces if replaces else ''}>"])


@pytest.mark.parametrize("first", ["refer", "bye"])
def test_a_refer_that_crosses_a_bye(house, first):
    alice, bob = house("1001", "1002")
    connect(alice, bob)
    moves = [lambda: refer(bob, "1003"), lambda: alice.send("BYE")]
    for move in moves if first == "refer" else reversed(moves):
        move()
    until([alice, bob], lambda: 202 in bob.seen or 481 in bob.seen, "an answer to the REFER")
    all_over(house.pbx, [alice, bob])


MOMENTS = {
    "at once": lambda lines: True,
    "it is accepted": lambda lines: 202 in lines["transferor"].seen,
    "the target rings": lambda lines: lines["target"].invite,
    "ringing is told": lambda lines: 180 in lines["transferor"].told,
    "it is answered": lambda lines: lines["target"].up,
    "the answer is told": lambda lines: 200 in lines["transferor"].told,
}


def test_anybody_hangs_up_at_any_moment_of_a_transfer(house):
    """Blind: each of the three at each of the moments."""
    pbx = house.pbx
    for who, moment in itertools.product(("transferor", "transferee", "target"), MOMENTS):
        alice, bob, carol = house("1001", "1002", "1003")
        lines = {"transferor": bob, "transferee": alice, "target": carol}
        every = list(lines.values())
        connect(alice, bob)
        refer(bob, "1003")
        if moment in ("it is answered", "the answer is told"):
            until(every, lambda: carol.invite, "the target to ring")
            carol.answer()
        until(every, lambda: MOMENTS[moment](lines), moment)
        line = lines[who]
        if line is not carol or carol.up:
            line.send("BYE")
        elif carol.invite:
            carol.talker.reply(carol.invite, 603, "Decline")
        if who != "transferee":
            until(every, lambda: carol.invite or "BYE" in alice.seen or bob.told, "the way of the transfer")
            if carol.invite and not carol.up and who != "target":
                carol.answer()
            pbx.wait_for(lambda: [line.step() for line in every], "a round")
            alice.send("BYE")
        all_over(pbx, every)
        for line in every:
            line.talker.register(expires=0)


def test_anybody_hangs_up_while_two_calls_become_one(house):
    """Attended: REFER with Replaces, and at the same moment one of the four legs goes."""
    pbx = house.pbx
    for goes in range(4):
        alice, bob, second, carol = every = house("1001", "1002", "1002", "1003")
        connect(alice, bob)
        second.answers = bob.answers = False
        connect(second, carol)
        dialog = second.talker
        refer(bob, "1003", f"{dialog.call_id}%3Bto-tag%3D{dialog.remote_tag}%3Bfrom-tag%3D{dialog.tag}")
        every[goes].send("BYE")
        pbx.wait_for(lambda: [line.step() for line in every], "a round")
        alice.send("BYE")
        carol.send("BYE")
        second.send("BYE")
        all_over(pbx, every)
        for line in every:
            line.talker.register(expires=0)
