"""Transfers: to somebody who answers, to nobody, to oneself, with a word before, and by real phones: nobody is lost on the way."""
import threading

MUSIC = 520


def in_call(pbx, phones, talkers):
    """1001 (a phone) talks with 1002 (a talker)."""
    alice, bob = phones(pbx, "1001"), talkers(pbx, "1002")
    alice.dial("1002")
    bob.answer()
    alice.established()
    assert alice.hears(660) and bob.hears(440)
    return alice, bob


def both_hear(a, b, *others):
    assert a.hears(b.hertz, others=(MUSIC, *others)) and b.hears(a.hertz, others=(MUSIC, *others))


def test_blind_to_somebody_who_answers(pbx, talk, phones):
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    bob.transfer("1003")
    call = carol.wait("CALL_INCOMING")
    assert "1001" in call["peeruri"], "the phone shows who will be there"
    carol.command("accept")
    carol.established()
    bob.closed()
    both_hear(alice, carol, 660)
    told = pbx.wait_event("call.transfer")["data"]
    assert (told["transfer_type"], told["transferor"], told["target"], told["result"]) == ("blind", "1002", "1003", "ok")
    carol.hangup()
    alice.closed()


def test_the_caller_transfers_the_callee(pbx, talk, phones):
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    alice.transfer("1003")
    carol.answer()
    alice.closed()
    both_hear(bob, carol, 440)
    bob.hangup()
    carol.closed()


def test_what_the_transferor_is_told(pbx, phones, talkers):
    alice, bob = in_call(pbx, phones, talkers)
    carol = phones(pbx, "1003")
    told = []
    asking = threading.Thread(target=lambda: told.extend(bob.refer("1003")))
    asking.start()
    carol.answer()
    asking.join()
    assert told == [100, 180, 200]
    bob.closed()
    both_hear(alice, carol, 660)
    alice.hangup()
    carol.closed()


def test_to_nobody_and_they_talk_on(pbx, phones, talkers):
    alice, bob = in_call(pbx, phones, talkers)
    assert bob.refer("1999") == [100, 404]
    both_hear(alice, bob)
    assert bob.refer("1999") == [100, 404]
    both_hear(alice, bob)
    bob.hangup()
    alice.closed()
    record, = pbx.wait_for(lambda: [record for record in pbx.ctl("cdr", "list") if record["ended_at"]], "the record")
    assert (record["from_number"], record["to_number"], record["hangup_by"]) == ("1001", "1002", "callee")


def test_to_somebody_busy_and_they_talk_on(pbx, phones, talkers):
    alice, bob = in_call(pbx, phones, talkers)
    carol = talkers(pbx, "1003")

    def refuse():
        carol.reply(carol.expect("INVITE"), 486, "Busy Here")
        carol.expect("ACK")
    refusing = threading.Thread(target=refuse)
    refusing.start()
    assert [code for code in bob.refer("1003") if code != 180] == [100, 486]
    refusing.join()
    both_hear(alice, bob)
    alice.hangup()
    bob.closed()


def test_who_is_transferred_hangs_up_meanwhile(pbx, phones, talkers):
    alice, bob = in_call(pbx, phones, talkers)
    carol = phones(pbx, "1003")
    told = []
    asking = threading.Thread(target=lambda: told.extend(bob.refer("1003")))
    asking.start()
    carol.wait("CALL_INCOMING")
    alice.hangup()
    carol.closed()
    asking.join()
    assert told[-1] >= 400
    bob.closed()


def test_with_a_word_before(pbx, phones, talkers):
    """Attended: bob asks carol first, then joins her with alice."""
    alice, bob = in_call(pbx, phones, talkers)
    second, carol = talkers(pbx, "1002"), phones(pbx, "1003")  # the other line of bob's phone
    bob.reinvite("sendonly")
    assert alice.hears(MUSIC)
    asking = threading.Thread(target=carol.answer)
    asking.start()
    second.dial("1003")
    asking.join()
    assert carol.hears(660) and second.hears(880)
    replaces = f"{second.call_id}%3Bto-tag%3D{second.remote_tag}%3Bfrom-tag%3D{second.tag}"
    assert bob.refer("1003", replaces)[-1] == 200
    bob.closed()
    second.closed()
    both_hear(alice, carol, 660)
    told = pbx.wait_event("call.transfer")["data"]
    assert (told["transfer_type"], told["transferor"], told["result"]) == ("attended", "1002", "ok")
    assert len({call["linked_id"] for call in pbx.ctl("calls", "list")}) == 1
    alice.hangup()
    carol.closed()


def test_with_a_word_before_but_that_call_is_over(pbx, phones, talkers):
    alice, bob = in_call(pbx, phones, talkers)
    answer = bob.inside("REFER", ["Refer-To: <sip:1003@pbx.test?Replaces=nobody%3Bto-tag%3Da%3Bfrom-tag%3Db>"])
    assert answer.status in (404, 481)
    both_hear(alice, bob)
    bob.hangup()
    alice.closed()


def test_three_talk_over_a_phone_that_mixes_and_two_go_on_without_it(pbx, phones, talkers):
    """The phone's two calls stay two calls of ours; it leaves by an attended transfer."""
    alice, bob = in_call(pbx, phones, talkers)
    second, carol = talkers(pbx, "1002"), phones(pbx, "1003")
    asking = threading.Thread(target=carol.answer)
    asking.start()
    second.dial("1003")
    asking.join()
    bob.meet(second)
    for phone, tones in ((alice, (660, 880)), (carol, (660, 440))):
        assert all(phone.hears(tone) for tone in tones), phone.number
    assert bob.refer("1003", f"{second.call_id}%3Bto-tag%3D{second.remote_tag}%3Bfrom-tag%3D{second.tag}")[-1] == 200
    bob.closed()
    second.closed()
    both_hear(alice, carol, 660)
    alice.hangup()
    carol.closed()


def test_transfer_over_rest(pbx, phones, talkers):
    """Blind to nobody and back, attended to somebody; what cannot be is refused with the cause."""
    alice, bob = in_call(pbx, phones, talkers)
    path = f"/calls/{pbx.ctl('calls', 'list')[0]['call_id']}:transfer"
    leg = next(leg for leg in pbx.ctl("calls", "show", path[7:-9])["legs"] if leg["number"] == "1002")["leg_id"]
    assert pbx.http("POST", path, {"leg_id": leg})[0] == 422
    assert pbx.http("POST", path, {"to": "10a"})[0] == 422
    assert pbx.http("POST", path, {"with": "nothing"})[0] == 404
    assert pbx.http("POST", path, {"to": "1999", "leg_id": leg})[0] == 202
    told = pbx.wait_event("call.transfer")
    assert (told["data"]["transferor"], told["data"]["result"]) == ("1002", "failed")
    both_hear(alice, bob)

    second, carol = talkers(pbx, "1002"), phones(pbx, "1003")
    asking = threading.Thread(target=carol.answer)
    asking.start()
    second.dial("1003")
    asking.join()
    other = next(call["call_id"] for call in pbx.ctl("calls", "list") if call["to"] == "1003")
    assert pbx.http("POST", path, {"with": other})[0] == 409, "the caller, 1001, has no leg there"
    assert pbx.http("POST", path, {"with": other, "leg_id": leg})[0] == 202
    bob.closed()
    second.closed()
    both_hear(alice, carol, 660)
    dave = phones(pbx, "1004")
    pbx.ctl("calls", "transfer", path[7:-9], "1004")
    dave.answer()
    alice.closed()
    both_hear(carol, dave)
    dave.hangup()
    carol.closed()
